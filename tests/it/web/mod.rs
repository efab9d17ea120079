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

/// The same where limits are counted in this process, and where they are shared.
macro_rules! on_every_ground {
    ($($case:ident)+) => {
        $crate::web::on_every_ground! { @one on_axum Axum false $($case)+ }
        $crate::web::on_every_ground! { @one on_actix Actix false $($case)+ }
        $crate::web::on_every_ground! { @one on_axum_shared Axum true $($case)+ }
        $crate::web::on_every_ground! { @one on_actix_shared Actix true $($case)+ }
    };
    (@one $ground:ident $framework:ident $shared:literal $($case:ident)+) => {
        mod $ground {
            use $crate::web::app::{Framework, Ground};

            $(#[tokio::test]
            async fn $case() {
                super::$case(Ground { framework: Framework::$framework, shared: $shared }).await;
            })+
        }
    };
}
use on_every_ground;

mod abilities;
mod actix_app;
mod address;
mod app;
mod axum_app;
mod credentials;
mod errors;
mod golden;
mod groups;
mod guards;
mod handlers;
mod http;
mod late;
mod limits;
mod log;
#[cfg(feature = "manage")]
mod manage;
mod manners;
mod misuse;
mod outside;
mod paths;
mod responses;
mod scene;
mod sessions;
mod shared;
mod state;
mod templates;
mod told;
mod tower;
mod unread;
