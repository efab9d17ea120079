//! The examples `axum_app` and `actix_app`, used as their first lines say.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts an example and returns its address.
fn start(example: &str, folder: &Path) -> (Running, String) {
    let test = env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples").join(example);
    let mut process = Command::new(&program)
        .args(["127.0.0.1:0", folder.join("notes.db").to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim_end().strip_prefix("Listening on ").unwrap().to_owned();
    (Running(process), url)
}

/// What the script prints, without what is random.
fn use_it(example: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (_running, url) = start(example, folder.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/notes.sh");
    let output = Command::new("bash").arg(script).arg(url).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn both_serve_sessions_and_tokens_and_the_routes_to_manage_them() {
    for example in ["axum_app", "actix_app"] {
        let printed = use_it(example);
        for expected in [
            "-- the token reads\nbuy milk\n",
            "\"code\":\"insufficient_scope\",\"required\":[\"notebooks:{notebook}:write\"]",
            "\"name\":\"reader\",\"abilities\":[\"notebooks:home:read\"]",
            "-- the token ends itself\n204\n",
            "\"code\":\"invalid_token\"",
        ] {
            assert!(printed.contains(expected), "{example}: {expected}\n{printed}");
        }
    }
}
