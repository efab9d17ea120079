//! Every store keeps every clause of the contract, and no clause is forgotten.

use std::{collections::BTreeSet, fs, path::Path};

mod memory {
    use keyfob::store::MemoryStore;

    keyfob::store_conformance!(#[tokio::test] => MemoryStore::new());
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
