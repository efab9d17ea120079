//! One guard for a group of routes, as the documentation of both adapters shows it.

use std::rc::Rc;

use ::axum::{Router, routing::get};
use ::tower::ServiceExt;
use actix_web::{
    App,
    test::{TestRequest, init_service},
    web,
};
use futures_util::FutureExt;
use keyfob::web::{Guard, actix::TokenMiddleware, axum::TokenLayer};

use super::{
    actix_app::erase,
    app::{Framework, Serve},
    axum_app::{answer, translate},
    http::get as request,
    scene::Scene,
};

on_both! {
    a_guard_of_a_group_reads_the_path_of_the_group
}

async fn builds() -> &'static str {
    "builds"
}

async fn serve(scene: &Scene) -> Serve {
    let guard = Guard::ability(&scene.tokens, "projects:{project}:write").unwrap();
    match scene.framework {
        Framework::Axum => {
            let project = Router::new()
                .route("/", get(builds))
                .route("/builds", get(builds))
                .route_layer(guard);
            let router: Router = Router::new()
                .nest("/projects/{project}", project)
                .layer(TokenLayer::new(scene.require()));
            Rc::new(move |request| {
                let router = router.clone();
                async move { answer(router.oneshot(translate(request)).await).await }.boxed_local()
            })
        }
        Framework::Actix => {
            let project = web::scope("/projects/{project}")
                .route("", web::get().to(builds))
                .route("/builds", web::get().to(builds))
                .wrap(guard);
            let app = App::new().service(project).wrap(TokenMiddleware::new(scene.require()));
            erase(init_service(app).await, TestRequest::to_request)
        }
    }
}

async fn a_guard_of_a_group_reads_the_path_of_the_group(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.over(serve(&scene).await);
    for path in ["/projects/42", "/projects/42/builds"] {
        assert_eq!(client.told(request(path).with("project")).await, (200, "builds".to_owned()));
        let (status, code) = client.told(request(path).with("good")).await;
        assert_eq!((status, &*code), (403, "insufficient_scope"), "{path}");
    }
    let (status, _) = client.told(request("/projects/43/builds").with("project")).await;
    assert_eq!(status, 403, "of another project");
}
