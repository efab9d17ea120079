//! The settings pages: of each account, and of a project whose members may see its tokens.

use keyfob::{
    InvalidValue, Owner,
    token::Actor,
    web::{
        Problem,
        auth::Account,
        manage::{Asked, page::PageOptions},
    },
};

/// The page of somebody who has not logged in, too.
pub(crate) const START: &str = include_str!("start.html");
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// How both pages look.
pub(crate) fn options(api: &str) -> Result<PageOptions, InvalidValue> {
    let read = ["servers:read", "sites:read", "databases:read", "ssh-keys:read", "crons:read"];
    PageOptions::new()
        .application("Fleet")
        .back("Back to Fleet", "/")
        .api_url(format!("http://{api}/api/v1/servers"))
        .descriptions(true)
        .limits(true)
        .preset("Read only", read)?
        .preset("Deploy", ["servers:read", "sites:*", "backups:create"])
}

/// The account of a project, for a person who is logged in: ada manages the tokens of `storefront`, and grace sees them.
pub(crate) fn of_project(person: &Account, asked: &Asked) -> Result<Account, Problem> {
    let project = asked.parameter("project").filter(|it| *it == "storefront");
    let project = project.ok_or_else(Problem::not_found)?;
    let is_manager = person.owner().as_str() == "ada";
    let account = Account::new(Owner::new(format!("project:{project}"))?);
    let member = account.by(Actor::new(person.owner().as_str())?);
    Ok(member.may_create(is_manager).may_change(is_manager))
}

/// In place of a problem, a person gets the page where they can log in.
pub(crate) fn or_start(problem: Problem) -> Problem {
    if problem.status() == 401 { problem.with_body(HTML, START) } else { problem }
}
