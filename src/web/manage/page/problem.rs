//! A refusal as a document.

use crate::web::Problem;

use super::{
    super::answer::Done,
    document::Document,
    markup::AsMarkup,
    texts::Message,
    view::{Said, Site},
    visitor::Layout,
};

/// The document of a refusal. `is_read`: the request was to change nothing.
pub(super) fn document(
    site: &Site,
    layout: Option<Layout>,
    problem: &Problem,
    is_read: bool,
) -> Done {
    let t = &site.t;
    let (heading, hint): (&Message, Option<&Message>) = match (problem.status(), problem.code()) {
        (_, "no_such_page") | (405, _) => (&t.no_such_page, None),
        (404, _) => (&t.not_found, None),
        (_, "cross_site_request") => (&t.cross_site, None),
        (_, "beyond_account") => (&t.beyond_account, None),
        (400 | 413 | 415 | 422, _) => (&t.bad_form, None),
        (401 | 403, _) => (&t.not_allowed, None),
        (503, _) if is_read => (&t.unavailable, Some(&t.unavailable_hint)),
        (503, _) => (&t.not_done, Some(&t.not_done_hint)),
        _ => (&t.internal, None),
    };
    let mut links = Vec::new();
    if problem.status() == 503 {
        links.push((t.retry.to_string(), site.home().to_owned()));
        if is_read && site.creates {
            links.push((t.new_token.to_string(), format!("{}/new", site.mount)));
        }
    } else {
        links.push((t.to_list.to_string(), site.home().to_owned()));
    }
    let said =
        Said { site, heading: heading.to_string(), text: hint.map(AsMarkup::as_markup), links };
    let status = problem.status();
    let done = Document::new(status, heading.to_string(), &said);
    let done = done.and_then(|document| document.finish(site, layout));
    // The templates can always be rendered.
    let done = done.unwrap_or_else(|_| Done::text(status, "text/plain", heading.to_string()));
    let kept = problem
        .headers()
        .filter(|(name, _)| matches!(*name, "allow" | "retry-after" | "www-authenticate"));
    kept.fold(done, |done, (name, value)| done.header(name, value))
}
