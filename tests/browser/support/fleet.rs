//! The example service, as it runs in a process of its own.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::http::{Answer, send};

pub struct Fleet {
    pub base: String,
    process: Child,
    /// It goes on to print.
    _output: BufReader<ChildStdout>,
    _directory: TempDir,
}

impl Fleet {
    pub fn start(server: &str, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let test = env::current_exe().unwrap();
        let program = test.ancestors().nth(2).unwrap().join("examples/fleet");
        assert!(program.exists(), "{} is not built", program.display());
        let database = format!("sqlite://{}", directory.path().join("fleet.db").display());
        let mut process = Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--server", server, "--database", &database])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let base = line.trim_end().strip_prefix("Listening on ").expect("it did not start");
        Self { base: base.to_owned(), process, _output: output, _directory: directory }
    }

    pub fn address(&self) -> &str {
        self.base.strip_prefix("http://").unwrap()
    }

    /// Calls the API with a token, and a body of JSON if there is one.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Answer {
        let authorization = format!("Bearer {token}");
        let mut headers = vec![("authorization", authorization.as_str())];
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        send(self.address(), method, path, &headers, &body).await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.call("GET", path, token, None).await
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
