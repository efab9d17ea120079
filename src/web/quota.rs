use smol_str::{SmolStr, format_smolstr};

use crate::limit::Quota;

/// What is told of a limit, with lower-case names: the two headers that clients read today, and where wanted those of
/// [draft-ietf-httpapi-ratelimit-headers-11](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-11).
pub(super) fn headers(
    quota: &Quota,
    draft: bool,
) -> impl Iterator<Item = (&'static str, SmolStr)> + use<> {
    let &Quota { name, limit, remaining, resets_in, .. } = quota;
    let (requests, seconds) = (limit.requests(), limit.seconds());
    let draft = draft.then(|| {
        [
            ("ratelimit-policy", format_smolstr!("\"{name}\";q={requests};w={seconds}")),
            ("ratelimit", format_smolstr!("\"{name}\";r={remaining};t={resets_in}")),
        ]
    });
    [
        ("x-ratelimit-limit", format_smolstr!("{requests}")),
        ("x-ratelimit-remaining", format_smolstr!("{remaining}")),
    ]
    .into_iter()
    .chain(draft.into_iter().flatten())
}
