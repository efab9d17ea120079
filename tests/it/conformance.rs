//! Every store keeps every clause of the contract, and no clause is forgotten.

use std::{collections::BTreeSet, fs, path::Path};

mod memory {
    use keyfob::store::MemoryStore;

    keyfob::store_conformance!(#[tokio::test] => MemoryStore::new());
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use keyfob::store::SqliteStore;
    use tempfile::TempDir;

    async fn store() -> (SqliteStore, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        (SqliteStore::open(directory.path().join("tokens.db")).await.unwrap(), directory)
    }

    keyfob::store_conformance!(#[tokio::test] => store().await);
}

/// In the application's own database, with nothing but what sqlx sets.
#[cfg(feature = "sqlite")]
mod sqlite_with_pool {
    use keyfob::store::SqliteStore;
    use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};
    use tempfile::TempDir;

    async fn store() -> (SqliteStore, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(directory.path().join("app.db"));
        let pool = SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap();
        (SqliteStore::with_pool(pool).await.unwrap(), directory)
    }

    keyfob::store_conformance!(#[tokio::test] => store().await);
}

#[test]
fn the_macro_runs_every_clause() {
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/conformance");
    let mut written = BTreeSet::new();
    let mut listed = BTreeSet::new();
    for file in fs::read_dir(suite).unwrap() {
        let path = file.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap();
        let source = fs::read_to_string(&path).unwrap();
        let clauses = source.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        let clauses = clauses.filter_map(|line| line.split('(').next());
        written.extend(clauses.map(|clause| format!("{module} {clause}")));
        if module == "mod" {
            let (_, list) = source.split_once("[$fresh_store]\n").unwrap();
            let (list, _) = list.split_once("    };\n").unwrap();
            for part in list.split_terminator('}') {
                let Some((module, clauses)) = part.split_once('{') else { continue };
                let clauses = clauses.split_whitespace();
                listed.extend(clauses.map(|clause| format!("{} {clause}", module.trim())));
            }
        }
    }
    assert!(written.len() > 100, "the clauses are found: {written:?}");
    assert_eq!(written, listed, "the list in store_conformance! has every clause, once");
}
