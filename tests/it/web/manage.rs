//! The mounted routes: who may do what, and every answer, to the byte, on both frameworks.

mod actix;
mod answers;
mod app;
mod axum;
mod bodies;
mod contract;
mod document;
mod leaked;
mod page;
mod steps;
