//! The shape of the crate: imports point one way, the front page holds no logic, the default build no framework.

mod auto_traits;
mod promises;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const MOST_LINES: usize = 450;

/// What each part of the crate may know beside itself and what lies in it. The longest path counts.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("token", &[]),
    ("clock", &["token"]),
    ("entropy", &["token"]),
    ("timer", &[]),
    ("store", &["token", "clock", "entropy", "timer"]),
    ("redis", &["timer"]),
    ("signal", &["token", "store", "timer", "redis"]),
    ("limit", &["token", "clock", "timer", "redis"]),
    ("event", &["token", "store"]),
    ("terms", &["token"]),
    ("policy", &["token", "store", "terms"]),
    ("listing", &["token", "store", "policy"]),
    ("usage", &["token", "timer", "store"]),
    ("closing", &[]),
    ("rekey", &["token", "store"]),
    ("lookups", &["token", "clock", "timer", "store"]),
    ("refusals", &["token", "clock"]),
    ("owner_gate", &["token", "clock", "store"]),
    (
        "api_tokens",
        &[
            "token",
            "clock",
            "closing",
            "entropy",
            "store",
            "signal",
            "event",
            "policy",
            "usage",
            "rekey",
            "lookups",
            "refusals",
            "owner_gate",
        ],
    ),
    ("propagate", &["token", "store", "signal", "timer", "event", "api_tokens"]),
    ("read", &["token", "store", "event", "listing", "api_tokens"]),
    ("owner_tokens", &["token", "store", "policy", "api_tokens"]),
    ("all_tokens", &["token", "store", "event", "listing", "api_tokens"]),
    ("issue", &["token", "entropy", "store", "event", "terms", "policy", "api_tokens"]),
    (
        "verify",
        &[
            "token",
            "clock",
            "store",
            "signal",
            "event",
            "usage",
            "lookups",
            "refusals",
            "api_tokens",
        ],
    ),
    (
        "rotate",
        &[
            "token",
            "entropy",
            "store",
            "signal",
            "event",
            "terms",
            "policy",
            "api_tokens",
            "owner_tokens",
        ],
    ),
    ("suspend", &["token", "store", "signal", "event", "policy", "owner_tokens"]),
    (
        "manage",
        &[
            "token",
            "store",
            "signal",
            "event",
            "terms",
            "policy",
            "listing",
            "api_tokens",
            "owner_tokens",
        ],
    ),
    ("list", &["token", "store", "listing", "api_tokens", "all_tokens", "owner_tokens"]),
    ("revoke", &["token", "store", "signal", "event", "api_tokens", "all_tokens", "owner_tokens"]),
    (
        "bearer",
        &["token", "store", "event", "api_tokens", "owner_tokens", "issue", "verify", "rotate"],
    ),
    ("transact", &["token", "store", "event", "api_tokens", "owner_tokens", "issue", "rotate"]),
    ("flush", &["token", "timer", "store", "event", "api_tokens", "manage"]),
    ("readme", &[]),
    ("testing", &["clock", "store", "signal", "token", "api_tokens", "issue"]),
    (
        "web",
        &[
            "token",
            "store",
            "event",
            "policy",
            "limit",
            "listing",
            "api_tokens",
            "terms",
            "owner_tokens",
            "issue",
            "verify",
            "rotate",
            "manage",
        ],
    ),
    (
        "web::gate",
        &[
            "token",
            "event",
            "limit",
            "api_tokens",
            "verify",
            "web::credentials",
            "web::quota",
            "web::Problem",
            "web::Realm",
        ],
    ),
    ("web::axum", &["timer", "web::body", "web::gate", "web::Problem"]),
    ("web::actix", &["web::body", "web::gate", "web::Problem"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|it| it == "rs") => files.push(path),
                false => (),
            }
        }
    }
    assert!(!files.is_empty());
    files
}

/// The path of a file's module: `src/web/axum.rs` is `web::axum`.
fn module_of(file: &Path) -> String {
    let path = file.strip_prefix(root().join("src")).unwrap().with_extension("");
    let parts: Vec<_> = path.iter().map(|it| it.to_str().unwrap()).collect();
    parts.join("::").trim_end_matches("::mod").to_owned()
}

/// The code of a file without comments and tests.
fn code(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Every path that begins with `crate::` or `super::`, in a `use` or anywhere else, with its braces opened.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::"] {
        for (place, _) in code.match_indices(start) {
            let before = code[..place].chars().next_back();
            if before.is_none_or(|it| !it.is_alphanumeric() && !"_:$".contains(it)) {
                open(start.trim_end_matches(':'), &code[place + start.len()..], &mut paths);
            }
        }
    }
    paths
}

/// Reads one branch of a `use` tree, and gives what follows it.
fn open<'a>(prefix: &str, rest: &'a str, paths: &mut Vec<String>) -> &'a str {
    let rest = rest.trim_start();
    if let Some(mut rest) = rest.strip_prefix('{') {
        loop {
            rest = open(prefix, rest, paths).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                Some(end) => return end.trim_start().strip_prefix('}').unwrap_or(end),
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = rest.find(|it: char| !it.is_alphanumeric() && it != '_').unwrap_or(rest.len());
    let path = match &rest[..end] {
        "self" => prefix.to_owned(),
        name => format!("{prefix}::{name}"),
    };
    let rest = &rest[end..];
    if let Some(more) = rest.strip_prefix("::") {
        return open(&path, more, paths);
    }
    paths.push(path);
    let alias = rest.trim_start().strip_prefix("as ");
    alias.map_or(rest, |it| it.trim_start_matches(|it: char| it.is_alphanumeric() || it == '_'))
}

/// Where the names that `lib.rs` re-exports come from.
fn exported(front_page: &str) -> BTreeMap<String, String> {
    let mut exported = BTreeMap::new();
    for part in code(front_page).split("pub use ").skip(1) {
        let mut paths = Vec::new();
        open("", part.trim_start_matches("crate::"), &mut paths);
        for path in paths {
            let path = path.trim_start_matches("::");
            let name = path.rsplit("::").next().unwrap_or(path).to_owned();
            exported.insert(name, path.to_owned());
        }
    }
    exported
}

/// A path from the root of the crate, for one that a module names.
fn resolve(
    path: &str,
    module: &str,
    is_folder: bool,
    exported: &BTreeMap<String, String>,
) -> String {
    let mut within: Vec<_> = module.split("::").collect();
    if path.starts_with("super") && is_folder {
        within.push("mod");
    }
    let mut rest = path;
    while let Some(more) = rest.strip_prefix("super::") {
        within.pop();
        rest = more;
    }
    match path.strip_prefix("crate::") {
        Some(path) => {
            let first = path.split("::").next().unwrap_or(path);
            exported.get(first).cloned().unwrap_or_else(|| path.to_owned())
        }
        None if is_folder && within.last() == Some(&"mod") => rest.to_owned(),
        None => [within.join("::").as_str(), rest].join("::").trim_matches(':').to_owned(),
    }
}

fn lies_in(path: &str, part: &str) -> bool {
    path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The imports of a module that point the wrong way.
fn wrong(
    module: &str,
    is_folder: bool,
    source: &str,
    exported: &BTreeMap<String, String>,
) -> Vec<String> {
    let rule = MAY_KNOW.iter().filter(|(part, _)| lies_in(module, part));
    let Some((part, known)) = rule.max_by_key(|(part, _)| part.len()) else {
        return vec![format!("{module} is in no layer")];
    };
    let paths =
        paths(&code(source)).into_iter().map(|it| resolve(&it, module, is_folder, exported));
    let is_macro = |path: &String| path == "abilities" || path.ends_with("_conformance");
    let wrong = paths.filter(|path| {
        let may = lies_in(path, part) || known.iter().any(|known| lies_in(path, known));
        !may && !is_macro(path) && !path.is_empty()
    });
    wrong.map(|path| format!("{module} knows {path}")).collect()
}

#[test]
fn imports_point_one_way() {
    let front_page = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let exported = exported(&front_page);
    assert_eq!(exported["VerifiedToken"], "verify::VerifiedToken");
    let (mut all, mut looked_at) = (BTreeSet::new(), 0);
    for file in sources("src") {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        looked_at += paths(&code(&source)).len();
        all.extend(wrong(&module, file.ends_with("mod.rs"), &source, &exported));
    }
    assert!(looked_at > 200, "only {looked_at} imports were found");
    assert!(all.is_empty(), "{all:#?}");
}

#[test]
fn an_import_that_points_the_wrong_way_is_found() {
    let exported = BTreeMap::from([("ApiTokens".to_owned(), "api_tokens::ApiTokens".to_owned())]);
    let count = |module, source| wrong(module, false, source, &exported).len();
    for (module, source) in [
        ("token::format", "use crate::store::TokenStore;"),
        ("token::format", "use super::super::store::TokenStore;"),
        ("token::format", "use crate::{\n    token::Prefix,\n    store::{Page, TokenStore},\n};"),
        ("store::memory", "fn f() -> crate::ApiTokens {}"),
        ("store::memory", "use crate::event::Event as Happening;"),
        ("verify", "use crate::issue::NewToken;"),
        ("issue", "use super::manage;"),
        ("web::axum", "use crate::store;"),
        ("web::axum", "use crate::ApiTokens;"),
        ("web::axum", "use super::actix::TokenMiddleware;"),
        ("web::axum", "use super::resource::TokenResource;"),
        ("web::gate::guard", "use crate::web::axum::TokenLayer;"),
        ("unheard_of", ""),
    ] {
        assert!(count(module, source) > 0, "{module}: {source}");
    }
    for (module, source) in [
        ("token::format", "use super::{Prefix, base62::{self, decode}};\nuse crate::token::text;"),
        ("web::axum", "use super::{Problem, gate::Guard};"),
        ("web::gate::guard", "use crate::web::{Problem, credentials};\nuse super::admission;"),
        ("verify", "// use crate::issue::NewToken;\nuse crate::{ApiTokens, store::{Peek}};"),
    ] {
        assert_eq!(wrong(module, false, source, &exported), [""; 0], "{source}");
    }
}

#[test]
fn the_front_page_holds_no_logic() {
    let front_page = code(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    for statement in front_page.split_inclusive([';', ']']) {
        let statement = statement.trim();
        let allowed = ["mod ", "pub mod ", "pub use ", "#[", "#!["];
        assert!(
            statement.is_empty() || allowed.iter().any(|it| statement.starts_with(it)),
            "{statement}"
        );
    }
}

#[test]
fn no_file_is_long() {
    for file in sources("src").into_iter().chain(sources("tests")) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", file.display());
    }
}

/// Who looks for `expose_secret` finds every place that a secret leaves by.
#[test]
fn the_secret_leaves_by_known_doors() {
    let doors = sources("src").into_iter().filter(|file| {
        let source = fs::read_to_string(file).unwrap();
        code(&source).contains("expose_secret(")
    });
    let doors: BTreeSet<_> = doors.map(|file| module_of(&file)).collect();
    let known = ["testing", "token::plain", "web::resource"].map(str::to_owned);
    assert_eq!(doors, BTreeSet::from(known));
    let front_page = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert!(front_page.contains("#[cfg(feature = \"test-util\")]\npub mod testing;"));
}

#[test]
fn the_default_build_pulls_in_no_runtime_and_no_framework() {
    let tree = |arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["tree", "--edges", "normal", "--prefix", "none", "--offline", "--locked"]);
        let tree = cargo.args(arguments).current_dir(root()).output().unwrap();
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout).unwrap();
        tree.lines()
            .filter_map(|it| it.split(' ').next())
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let frameworks = ["tokio", "axum", "axum-core", "actix-web", "sqlx", "hyper", "tracing"];
    for arguments in [&["--no-default-features"][..], &[]] {
        let tree = tree(arguments);
        assert!(tree.contains("sha2"), "{tree:?}");
        assert!(frameworks.iter().all(|it| !tree.contains(*it)), "{tree:?}");
    }
    assert!(tree(&["--all-features"]).contains("sqlx"), "what is there is found");
}
