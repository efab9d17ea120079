//! What the stores on database servers promise beside the contract that every store keeps, and say alike.

mod conformance;
mod pool;
mod rules;
mod transactions;
mod trouble;

use crate::support::{
    database::{id, insert, owner, record},
    engine::{Engine, Place, on_every_engine},
};
