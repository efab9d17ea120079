//! Files of answers, which both frameworks are held to. A file has sections that begin with `## `.

use std::{env, fs, path::Path};

/// Compares answers with a file of this folder. With `KEYFOB_BLESS` the one that `may_write` writes the file anew.
pub fn hold_to(file: &str, answers: &str, may_write: bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/web").join(file);
    if env::var_os("KEYFOB_BLESS").is_some() {
        if may_write {
            fs::write(path, answers).unwrap();
        }
        return;
    }
    if let Some(difference) = difference(&fs::read_to_string(path).unwrap(), answers) {
        panic!("{difference}");
    }
}

/// The first section that is not as on file.
pub fn difference(file: &str, answers: &str) -> Option<String> {
    let sections = |text: &str| text.split("## ").map(str::to_owned).collect::<Vec<_>>();
    let (file, answers) = (sections(file), sections(answers));
    let nothing = String::from("nothing\n");
    let most = file.len().max(answers.len());
    let mut pairs =
        (0..most).map(|it| (file.get(it).unwrap_or(&nothing), answers.get(it).unwrap_or(&nothing)));
    let (file, answer) = pairs.find(|(file, answer)| file != answer)?;
    let only = |sign, these: &str, those: &str| {
        let lines = these.lines().filter(|line| !those.lines().any(|it| it == *line));
        lines.fold(String::new(), |text, line| text + sign + line + "\n")
    };
    let title = answer.lines().next().unwrap_or_default();
    Some(format!(
        "{title}\n{}{}\nall of it:\n{answer}",
        only("- ", file, answer),
        only("+ ", answer, file)
    ))
}

#[test]
fn a_difference_is_shown_by_its_lines() {
    let file = "## a\nx\n## b\ny\nz\n";
    assert_eq!(difference(file, file), None);
    let shown = difference(file, "## a\nx\n## b\ny\nw\n").unwrap();
    assert_eq!(shown, "b\n- z\n+ w\n\nall of it:\nb\ny\nw\n");
    assert!(difference(file, "## a\nx\n").unwrap().contains("- z"));
}
