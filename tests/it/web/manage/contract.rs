//! The OpenAPI document as a contract that every answer is held to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::web::http::Response;

/// The document of an application.
pub struct Contract {
    pub document: Value,
    /// The methods of each path, by its segments below the mount.
    operations: BTreeMap<Vec<String>, Value>,
}

/// The number of segments of the mount.
const MOUNT: usize = 3;

impl Contract {
    pub fn new(document: Value) -> Self {
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().map(|(path, item)| (segments(path), item.clone())).collect();
        Self { document, operations }
    }

    /// Every method and path below the mount, as `GET /{id}`, with the statuses that it declares.
    pub fn declared(&self) -> Vec<(String, Vec<u16>)> {
        let mut declared = Vec::new();
        for (path, item) in &self.operations {
            for (method, operation) in item.as_object().unwrap() {
                let statuses = operation["responses"].as_object().unwrap().keys();
                let route = format!("{} /{}", method.to_uppercase(), path.join("/"));
                declared.push((route, statuses.map(|it| it.parse().unwrap()).collect()));
            }
        }
        declared
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path = segments(path.split('?').next().unwrap());
        let mut wildcard = path.clone();
        if let Some(first) = wildcard.first_mut() {
            "{id}".clone_into(first);
        }
        let item = self.operations.get(&path).or_else(|| self.operations.get(&wildcard))?;
        item.get(method.to_lowercase())
    }

    /// Checks that an answer is one that the document declares for the request.
    pub fn hold(&self, method: &str, path: &str, response: &Response) {
        // A client that follows the document encodes nothing.
        if path.contains('%') || method == "HEAD" {
            return;
        }
        // Of other paths and methods, and of the application's own refusals, the document says nothing.
        let Some(operation) = self.operation(method, path) else {
            return assert!(matches!(response.status, 404 | 405), "{method} {path}: {response}");
        };
        let declared = &operation["responses"][response.status.to_string()];
        assert!(declared.is_object(), "{method} {path} does not declare {response}");
        let Some(content) = declared["content"].as_object() else {
            return assert_eq!(response.body, "", "{method} {path}: {response}");
        };
        let (media_type, content) = content.iter().next().unwrap();
        assert_eq!(response.header("content-type"), Some(&**media_type), "{method} {path}");
        let body: Value = serde_json::from_str(&response.body).unwrap();
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": content["schema"]["$ref"],
            "components": self.document["components"],
        });
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<_> = validator.iter_errors(&body).map(|it| it.to_string()).collect();
        assert_eq!(errors, [""; 0], "{method} {path}: {response}");
    }
}

/// The segments below the mount.
fn segments(path: &str) -> Vec<String> {
    let segments = path.split('/').skip(1 + MOUNT).filter(|it| !it.is_empty());
    segments.map(str::to_owned).collect()
}
