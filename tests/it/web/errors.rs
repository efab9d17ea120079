//! Errors that a handler returns with `?`.

use keyfob::web::{Authenticator, Realm};

use super::{
    app::{Framework, Outer, Setup},
    http::get,
    scene::Scene,
};

on_both! {
    a_refusal_of_a_handler_is_that_of_the_layer
    without_a_layer_a_challenge_names_no_realm
    the_layer_that_is_nearest_names_the_realm
    a_value_that_is_not_valid_is_422
}

const SAME: [(&str, &str, &str); 2] =
    [("/errors/refused", "/open", "revoked"), ("/errors/lacking", "/guarded/create", "good")];

async fn a_refusal_of_a_handler_is_that_of_the_layer(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    for (path, refusing, token) in SAME {
        let by_handler = client.send(get(path).with("good")).await;
        let by_layer = client.send(get(refusing).with(token)).await;
        assert_eq!(by_handler, by_layer, "{path}");
        assert!(by_layer.header("www-authenticate").unwrap().contains("realm"), "{by_layer:?}");
    }
}

async fn without_a_layer_a_challenge_names_no_realm(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client_of(Setup::new(scene.require()).without_layer()).await;
    for (path, challenge) in [
        (
            "/errors/refused",
            "Bearer error=\"invalid_token\", error_description=\"The access token is invalid\"",
        ),
        ("/errors/lacking", "Bearer error=\"insufficient_scope\", scope=\"servers:create\""),
    ] {
        let answer = client.send(get(path)).await;
        assert_eq!(answer.header("www-authenticate"), Some(challenge), "{path}");
    }
}

async fn the_layer_that_is_nearest_names_the_realm(framework: Framework) {
    let scene = Scene::new(framework).await;
    let other = Authenticator::identify(scene.tokens.clone(), Realm::new("Outer").unwrap());
    let setup = Setup::new(scene.require());
    let nested = scene.client_of(setup.clone().under(Outer::Another(other))).await;
    let alone = scene.client_of(setup).await;
    for (path, ..) in SAME {
        let request = get(path).with("good");
        let challenge =
            |it: super::http::Response| it.header("www-authenticate").map(str::to_owned);
        let expected = challenge(alone.send(request.clone()).await);
        assert_eq!(challenge(nested.send(request).await), expected, "{path}");
    }
}

async fn a_value_that_is_not_valid_is_422(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    let answer = client.send(get("/errors/invalid").with("good")).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.ends_with(r#""errors":{"owner":["must not be empty"]}}"#), "{answer:?}");
}
