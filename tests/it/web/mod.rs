//! What a request meets, on both frameworks, in process: one set of cases and one set of expected bytes.

macro_rules! on_both {
    ($($case:ident)+) => {
        mod on_axum {
            $(#[tokio::test]
            async fn $case() {
                super::$case($crate::web::app::Framework::Axum).await;
            })+
        }
        mod on_actix {
            $(#[tokio::test]
            async fn $case() {
                super::$case($crate::web::app::Framework::Actix).await;
            })+
        }
    };
}

mod abilities;
mod actix_app;
mod address;
mod app;
mod axum_app;
mod credentials;
mod guards;
mod handlers;
mod http;
mod late;
mod limits;
mod log;
mod manners;
mod misuse;
mod outside;
mod paths;
mod responses;
mod scene;
mod state;
mod told;
mod tower;
