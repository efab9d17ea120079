//! Ten thousand tokens of one owner: each order, filter and page.

use keyfob::{NewToken, Owner};

use crate::support::{App, Browser, How, Setup};

keyfob::abilities! {
    enum Access {
        Read = "servers:read", "List servers";
        Create = "servers:create", "Create servers";
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_order_filter_and_page() {
    let app = App::start(Setup::new("acme", Access::ALL)).await;
    let own = app.tokens.owned_by(Owner::new("user:ada").unwrap());
    let _ = own.issue(NewToken::named("token-00000").abilities(["servers:read"])).await.unwrap();
    app.multiply(10_000).await;
    let browser = Browser::open(&app.base(), How::default()).await;
    browser.go("/as/ada").await;
    assert_eq!(browser.text(".kf-pages .kf-muted").await, "10000 tokens");
    let first = async || browser.texts(".kf-name").await[0].clone();
    for (column, by) in [
        ("Name", "name"),
        ("Last used", "last_used"),
        ("Created", "created"),
        ("Expires", "expires"),
    ] {
        for sort in [by.to_owned(), format!("-{by}")] {
            browser.go(&format!("/settings/tokens?sort={sort}&per_page=10")).await;
            let order = if sort.starts_with('-') { "descending" } else { "ascending" };
            let sorted = format!("th[aria-sort={order}]");
            assert!(browser.text(&sorted).await.starts_with(column), "{sort}");
            // Three pages, each token once.
            let mut names = browser.texts(".kf-name").await;
            for _ in 0..2 {
                let next = if sort == "-created" { "Older" } else { "Next page" };
                browser.follow(next).await;
                names.extend(browser.texts(".kf-name").await);
            }
            let mut distinct = names.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), 30, "{sort}");
            if by == "name" {
                let is_sorted = names.is_sorted_by(|one, other| (one < other) == (sort == "name"));
                assert!(is_sorted, "{names:?}");
            }
        }
    }
    for (query, matching) in [
        ("q=token-0012", "10 tokens"),
        ("q=TOKEN-00012", "1 token"),
        ("state=revoked", "0 tokens"),
        ("state=any", "10000 tokens"),
        ("ability=servers%3Aread", "10000 tokens"),
        ("ability=servers%3Acreate", "0 tokens"),
        ("unused_days=0", "10000 tokens"),
    ] {
        browser.go(&format!("/settings/tokens?{query}")).await;
        assert_eq!(browser.text(".kf-pages .kf-muted").await, matching, "{query}");
    }
    browser.go("/settings/tokens?sort=name").await;
    assert_eq!(first().await, "token-00000");

    browser.go("/settings/tokens/revoke?all=1").await;
    assert_eq!(browser.count("li").await, 20);
    assert!(browser.text(".kf-page").await.contains("and 9980 more"));
    browser.fill("#kf-typed", "10000").await;
    browser.follow_to("form .kf-danger").await;
    assert_eq!(browser.text(".kf-outcome").await, "10000 tokens were revoked.");
    browser.close().await;
}
