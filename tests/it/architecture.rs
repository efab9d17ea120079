//! The shape of the crate: imports point one way, the front page holds no logic, the default build no framework.

mod auto_traits;
mod promises;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const MOST_LINES: usize = 450;

/// What each part of the crate may know beside itself and what lies in it: only parts that stand above it here. The
/// longest path counts, so a folder can have two floors: what [`ApiTokens`](keyfob::ApiTokens) holds, and what is done
/// with it.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("token", &[]),
    ("time", &["token"]),
    ("store", &["token", "time"]),
    ("event", &["token", "store"]),
    ("redis", &["time"]),
    ("limit", &["token", "time", "redis"]),
    ("cluster::signal", &["token", "store", "time", "redis"]),
    ("background::closing", &[]),
    ("background::rekey", &["token", "store"]),
    ("background::usage", &["token", "store", "time"]),
    ("verify::batch", &["token", "store", "time"]),
    ("verify::negative_cache", &["token", "time"]),
    ("verify::owner_gate", &["token", "store", "time"]),
    (
        "api_tokens",
        &[
            "token",
            "time",
            "store",
            "event",
            "cluster::signal",
            "background::closing",
            "background::rekey",
            "background::usage",
            "verify::batch",
            "verify::negative_cache",
            "verify::owner_gate",
        ],
    ),
    ("cluster", &["token", "time", "store", "event", "cluster::signal", "api_tokens"]),
    ("issue", &["token", "store", "event", "api_tokens"]),
    (
        "verify",
        &["token", "time", "store", "event", "cluster::signal", "background::usage", "api_tokens"],
    ),
    ("manage", &["token", "store", "event", "cluster::signal", "api_tokens", "issue", "verify"]),
    ("background", &["token", "time", "store", "event", "api_tokens", "manage"]),
    ("readme", &[]),
    ("testing", &["token", "time", "store", "cluster::signal", "api_tokens", "issue"]),
    (
        "web",
        &["token", "time", "store", "event", "limit", "api_tokens", "issue", "verify", "manage"],
    ),
    (
        "web::auth",
        &[
            "token",
            "time",
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
    (
        "web::manage",
        &[
            "token",
            "store",
            "limit",
            "api_tokens",
            "issue",
            "verify",
            "manage",
            "web::auth",
            "web::body",
            "web::credentials",
            "web::request",
            "web::IssuedTokenResource",
            "web::JsonBody",
            "web::Problem",
            "web::TokenPageResource",
            "web::TokenResource",
        ],
    ),
    (
        "web::axum",
        &["time", "web::body", "web::request", "web::auth", "web::manage", "web::Problem"],
    ),
    ("web::actix", &["web::body", "web::request", "web::auth", "web::manage", "web::Problem"]),
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

/// A path from the root of the crate, for one that a module names.
fn resolve(path: &str, module: &str, is_folder: bool) -> String {
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
        Some(path) => path.to_owned(),
        None if is_folder && within.last() == Some(&"mod") => rest.to_owned(),
        None => [within.join("::").as_str(), rest].join("::").trim_matches(':').to_owned(),
    }
}

fn lies_in(path: &str, part: &str) -> bool {
    path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The imports of a module that point the wrong way. One of the front page is wrong as well: it is for users.
fn wrong(module: &str, is_folder: bool, source: &str) -> Vec<String> {
    let rule = MAY_KNOW.iter().filter(|(part, _)| lies_in(module, part));
    let Some((part, known)) = rule.max_by_key(|(part, _)| part.len()) else {
        return vec![format!("{module} is in no layer")];
    };
    let paths = paths(&code(source)).into_iter().map(|it| resolve(&it, module, is_folder));
    let is_macro = |path: &String| path == "abilities" || path.ends_with("_conformance");
    let wrong = paths.filter(|path| {
        let may = lies_in(path, part) || known.iter().any(|known| lies_in(path, known));
        !may && !is_macro(path) && !path.is_empty()
    });
    wrong.map(|path| format!("{module} knows {path}")).collect()
}

#[test]
fn imports_point_one_way() {
    let (mut all, mut looked_at) = (BTreeSet::new(), 0);
    for file in sources("src") {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let source = fs::read_to_string(&file).unwrap();
        looked_at += paths(&code(&source)).len();
        all.extend(wrong(&module, file.ends_with("mod.rs"), &source));
    }
    assert!(looked_at > 200, "only {looked_at} imports were found");
    assert!(all.is_empty(), "{all:#?}");
}

#[test]
fn an_import_that_points_the_wrong_way_is_found() {
    let count = |module, source| wrong(module, false, source).len();
    for (module, source) in [
        ("token::format", "use crate::store::TokenStore;"),
        ("token::format", "use super::super::store::TokenStore;"),
        ("token::format", "use crate::{\n    token::Prefix,\n    store::{Page, TokenStore},\n};"),
        ("store::memory", "fn f() -> crate::api_tokens::ApiTokens {}"),
        ("store::memory", "use crate::event::Event as Happening;"),
        ("verify", "use crate::issue::NewToken;"),
        ("verify", "use crate::ApiTokens;"),
        ("verify::batch", "use crate::api_tokens::ApiTokens;"),
        ("verify::batch", "use super::judge;"),
        ("issue", "use super::manage;"),
        ("web::axum", "use crate::store;"),
        ("web::axum", "use crate::api_tokens::ApiTokens;"),
        ("web::axum", "use super::actix::TokenMiddleware;"),
        ("web::axum", "use super::resource::TokenResource;"),
        ("web::auth::guard", "use crate::web::axum::TokenLayer;"),
        ("unheard_of", ""),
    ] {
        assert!(count(module, source) > 0, "{module}: {source}");
    }
    for (module, source) in [
        ("token::format", "use super::{Prefix, base62::{self, decode}};\nuse crate::token::text;"),
        ("web::axum", "use super::{Problem, auth::Guard};"),
        ("web::auth::guard", "use crate::web::{Problem, credentials};\nuse super::context;"),
        (
            "verify",
            "// use crate::issue::NewToken;\nuse crate::{api_tokens::ApiTokens, store::{Peek}};",
        ),
        (
            "verify::settle",
            "use super::{batch::Batcher, judge};\nuse crate::cluster::signal::Changed;",
        ),
    ] {
        assert_eq!(wrong(module, false, source), [""; 0], "{source}");
    }
}

#[test]
fn each_part_knows_only_parts_that_stand_above_it() {
    for (place, (part, known)) in MAY_KNOW.iter().enumerate() {
        for known in *known {
            let above = &MAY_KNOW[..place];
            assert!(above.iter().any(|(part, _)| lies_in(known, part)), "{part} knows {known}");
        }
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
    let known = ["testing", "token::plain", "web::manage::page::creating", "web::resource"]
        .map(str::to_owned);
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
