//! Each promise in SECURITY.md names the tests that hold it.

use std::fs;

use super::{root, sources};

/// The tests that a page names: what stands in the last column of its table, between backticks, and is a path.
fn named(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let columns = rows.filter_map(|row| row.trim_end_matches('|').rsplit_once('|'));
    let quoted = columns.flat_map(|(_, held_by)| held_by.split('`').skip(1).step_by(2));
    let is_path = |it: &&str| it.chars().all(|it| it == '_' || it == ':' || it.is_alphanumeric());
    quoted.filter(is_path).collect()
}

#[test]
fn every_test_that_a_promise_names_is_there() {
    let files = ["tests/it", "tests/browser", "src/store/conformance"].map(sources).concat();
    let code: Vec<_> = files.iter().map(|it| fs::read_to_string(it).unwrap()).collect();
    let page = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let named = named(&page);
    assert!(named.len() > 80, "{}", named.len());
    for test in named {
        let (place, name) = test.rsplit_once("::").unwrap_or_default();
        let name = if name.is_empty() { test } else { name };
        let is_there = files.iter().zip(&code).any(|(file, code)| {
            let file = file.to_string_lossy();
            let is_in_place = place.split("::").all(|part| file.contains(part));
            is_in_place && ["(", "<"].iter().any(|it| code.contains(&format!("fn {name}{it}")))
        });
        assert!(is_there, "{test}");
    }
}
