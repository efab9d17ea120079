//! A real browser: Debian's Chromium, driven by WebDriver.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use fantoccini::{
    Client, ClientBuilder, Locator,
    actions::{InputSource, KeyAction, KeyActions},
    elements::Element,
    key::Key,
    wd::WebDriverCompatibleCommand,
};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How a browser is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    pub without_scripts: bool,
    pub language: Option<&'static str>,
}

impl How {
    pub const WITHOUT_SCRIPTS: Self = Self { without_scripts: true, language: None };

    pub fn in_language(language: &'static str) -> Self {
        Self { language: Some(language), ..Self::default() }
    }
}

pub struct Browser {
    client: Client,
    driver: Child,
    profile: TempDir,
    /// Where the application listens.
    base: String,
}

const PATIENCE: Duration = Duration::from_secs(120);

/// The hosts under `.test` are this machine, and no secure context as `localhost` is.
pub const HOSTS: &str = "MAP *.test 127.0.0.1";

impl Browser {
    pub async fn open(base: &str, how: How) -> Self {
        let (driver, port) = start_driver();
        let profile = tempfile::tempdir().unwrap();
        let mut preferences = json!({
            "intl.accept_languages": how.language.unwrap_or("en"),
            "profile.default_content_setting_values": {},
        });
        if how.without_scripts {
            preferences["profile.managed_default_content_settings.javascript"] = json!(2);
        }
        let options = json!({
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,900",
                format!("--host-resolver-rules={HOSTS}"),
                format!("--user-data-dir={}", profile.path().display()),
            ],
            "prefs": preferences,
        });
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let url = format!("http://127.0.0.1:{port}");
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&url)
            .await
            .unwrap();
        Self { client, driver, profile, base: base.to_owned() }
    }

    pub async fn close(self) {
        let _ = self.client.clone().close().await;
    }

    /// Goes to a path of the application, or to a URL.
    pub async fn go(&self, path: &str) {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.into() };
        self.client.goto(&url).await.unwrap();
    }

    pub async fn back(&self) {
        self.client.back().await.unwrap();
    }

    pub async fn forward(&self) {
        self.client.forward().await.unwrap();
    }

    pub async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// The path and the query of the document.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        }
    }

    pub async fn title(&self) -> String {
        self.client.title().await.unwrap()
    }

    pub async fn source(&self) -> String {
        self.client.source().await.unwrap()
    }

    pub async fn find(&self, css: &str) -> Element {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => {
                let (path, body) = (self.path().await, self.text("body").await);
                panic!("{css} is not on {path}: {error}\n{body}")
            }
        }
    }

    pub async fn count(&self, css: &str) -> usize {
        self.client.find_all(Locator::Css(css)).await.unwrap().len()
    }

    pub async fn is_there(&self, css: &str) -> bool {
        self.count(css).await > 0
    }

    pub async fn is_shown(&self, css: &str) -> bool {
        self.find(css).await.is_displayed().await.unwrap()
    }

    /// The text as it is shown.
    pub async fn text(&self, css: &str) -> String {
        Box::pin(async { self.client.find(Locator::Css(css)).await.unwrap().text().await.unwrap() })
            .await
    }

    pub async fn texts(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.client.find_all(Locator::Css(css)).await.unwrap() {
            texts.push(element.text().await.unwrap());
        }
        texts
    }

    pub async fn value(&self, css: &str) -> String {
        self.find(css).await.prop("value").await.unwrap().unwrap_or_default()
    }

    pub async fn attr(&self, css: &str, name: &str) -> Option<String> {
        self.find(css).await.attr(name).await.unwrap()
    }

    pub async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    /// Clicks on something that leads to another document, and waits for it.
    pub async fn follow_to(&self, css: &str) {
        let element = self.find(css).await;
        self.next_document(async { element.click().await.unwrap() }).await;
    }

    /// Presses something that leads to another document, and waits for it.
    pub async fn follow(&self, text: &str) {
        self.next_document(self.press(text)).await;
    }

    /// Waits for the document that a step leads to.
    pub async fn next_document(&self, step: impl Future<Output = ()>) {
        self.run("window.isBefore = true").await;
        step.await;
        self.until("!window.isBefore && document.readyState === 'complete'").await;
    }

    /// Clicks on a link, a button or a label with exactly this text, or of this accessible name.
    pub async fn press(&self, text: &str) {
        let quoted = format!("\"{text}\"");
        let xpath = format!(
            "//*[self::a or self::button or self::label or self::summary][normalize-space(.)={quoted} or @aria-label={quoted}]"
        );
        let element = self.client.find(Locator::XPath(&xpath)).await;
        let Ok(element) = element else {
            panic!("nothing to press is called {text}:\n{}", self.text("body").await)
        };
        element.click().await.unwrap();
    }

    pub async fn is_checked(&self, css: &str) -> bool {
        self.find(css).await.is_selected().await.unwrap()
    }

    /// Puts a text into a field, in place of what is there.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub async fn choose(&self, css: &str, value: &str) {
        self.find(css).await.select_by_value(value).await.unwrap();
    }

    pub async fn choose_label(&self, css: &str, label: &str) {
        self.find(css).await.select_by_label(label).await.unwrap();
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub async fn keys(&self, keys: &[Key]) {
        self.chord(&[], keys).await;
    }

    /// Presses keys while others are held down.
    pub async fn chord(&self, held: &[Key], keys: &[impl Into<char> + Copy]) {
        let mut actions = KeyActions::new("keyboard".to_owned());
        for key in held {
            actions = actions.then(KeyAction::Down { value: (*key).into() });
        }
        for key in keys {
            actions = actions.then(KeyAction::Down { value: (*key).into() });
            actions = actions.then(KeyAction::Up { value: (*key).into() });
        }
        for key in held {
            actions = actions.then(KeyAction::Up { value: (*key).into() });
        }
        self.client.perform_actions(actions).await.unwrap();
    }

    pub async fn type_text(&self, text: &str) {
        let focused = self.client.active_element().await.unwrap();
        focused.send_keys(text).await.unwrap();
    }

    /// The element that has the focus: its accessible name, else its text or its id.
    pub async fn focus(&self) -> String {
        let focus = "const it = document.activeElement; return it.ariaLabel || it.id || it.textContent.trim()";
        self.run(focus).await.as_str().unwrap_or_default().to_owned()
    }

    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Runs a script that answers by a promise.
    pub async fn wait_for(&self, promise: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {promise} }})().then(done, error => done(String(error)))"
        );
        self.client.execute_async(&script, Vec::new()).await.unwrap()
    }

    /// Waits until a script answers `true`, for as long as no machine needs that is only busy.
    pub async fn until(&self, condition: &str) {
        let (script, start) = (format!("return {condition}"), Instant::now());
        // Between two documents, no script can be run.
        while !matches!(self.client.execute(&script, Vec::new()).await, Ok(Value::Bool(true))) {
            let body = async || self.text("body").await;
            assert!(start.elapsed() < PATIENCE, "never {condition}:\n{}", body().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn alert(&self) -> Option<String> {
        self.client.get_alert_text().await.ok()
    }

    /// Goes into the first frame of the document.
    pub async fn enter_frame(&self) {
        self.client.enter_frame(0).await.unwrap();
    }

    pub async fn leave_frame(&self) {
        self.client.enter_parent_frame().await.unwrap();
    }

    pub async fn new_tab(&self) {
        let tab = self.client.new_window(true).await.unwrap();
        self.client.switch_to_window(tab.handle).await.unwrap();
    }

    /// The complaints of the browser.
    pub async fn complaints(&self) -> Vec<String> {
        let log = Raw { path: "se/log", body: json!({ "type": "browser" }) };
        let log = self.client.issue_cmd(log).await.unwrap();
        let log = log.as_array().unwrap().iter();
        log.map(|it| it["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Everything that the browser keeps on disk.
    pub fn stored(&self) -> Vec<u8> {
        let (mut bytes, mut folders) = (Vec::new(), vec![self.profile.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    // A file can be gone in the meantime, or be a socket.
                    bytes.extend(fs::read(path).unwrap_or_default());
                }
            }
        }
        bytes
    }

    /// Sends a command of the DevTools.
    pub async fn devtools(&self, command: &str, params: Value) -> Value {
        let body = json!({ "cmd": command, "params": params });
        self.client.issue_cmd(Raw { path: "goog/cdp/execute", body }).await.unwrap()
    }

    pub async fn set_look(&self, width: u32, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        self.set_size(width, 900).await;
    }

    pub async fn set_size(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Keeps a picture of the whole document under `target/screenshots`.
    pub async fn picture(&self, name: &str) -> PathBuf {
        // The back of a dialog is as high as the window, and a page from right to left begins at its right.
        let is_whole = self.count("dialog, [dir=rtl]").await == 0;
        self.capture(name, json!({ "captureBeyondViewport": is_whole })).await
    }

    /// Keeps the upper part of the document, a little smaller.
    pub async fn picture_of(&self, name: &str, width: u64, height: u64) -> PathBuf {
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 0.8 });
        self.capture(name, json!({ "clip": clip, "captureBeyondViewport": true })).await
    }

    async fn capture(&self, name: &str, how: Value) -> PathBuf {
        let picture = self.devtools("Page.captureScreenshot", how).await;
        let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        fs::write(&path, picture).unwrap();
        path
    }

    /// The serious faults that axe-core finds in the document. It is evaluated, because the content policy refuses its
    /// script.
    pub async fn faults(&self) -> Vec<String> {
        self.client.execute(axe(), Vec::new()).await.unwrap();
        let found = self
            .wait_for("return (await axe.run(document, { resultTypes: ['violations'] })).violations.map(it => [it.impact, it.id, it.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | ')])")
            .await;
        let found = found.as_array().unwrap_or_else(|| panic!("axe: {found}")).iter();
        found
            .filter(|it| matches!(it[0].as_str(), Some("serious" | "critical")))
            .map(ToString::to_string)
            .collect()
    }
}

/// Starts a driver on a free port. It takes the same port for IPv4 and IPv6, and ends if another one is faster.
fn start_driver() -> (Child, String) {
    loop {
        // A group of its own: the browsers that a driver starts end with it.
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = driver.expect("chromedriver is missing: scripts/test installs it");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        match port {
            Some(port) => return (driver, port),
            None => drop(driver.wait()),
        }
    }
}

fn axe() -> &'static str {
    static AXE: OnceLock<String> = OnceLock::new();
    AXE.get_or_init(|| {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/axe");
        let output = Command::new(script).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read_to_string(String::from_utf8(output.stdout).unwrap().trim_end()).unwrap()
    })
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.wait();
    }
}

/// A command of ChromeDriver that WebDriver does not have.
#[derive(Debug)]
struct Raw {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Raw {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
