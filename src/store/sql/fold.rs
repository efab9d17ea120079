//! What a migration writes of tokens that are there already.

use crate::{store::contract::folded, token::TokenId};

use super::{
    engine::{Connection, Engine, Value, arguments},
    read::id,
    statements::Spelling,
};

/// How many tokens are written in one step.
const STEP: usize = 512;

/// Writes the names in lowercase where they are missing. A name that can't be read is left without.
pub(crate) async fn fold_names<E: Engine>(
    connection: &mut Connection<E>,
    table_name: &(impl Fn(&str) -> String + Sync),
) -> sqlx::Result<()> {
    let spelling = Spelling::new::<E>(table_name, "");
    let read = spelling.one(&format!(
        "SELECT id, name FROM {{tokens}} WHERE id >= ? AND name_folded IS NULL
        ORDER BY id LIMIT {STEP}"
    ));
    let write = spelling.for_list(&E::WRITE_TEXTS.replace("{column}", "name_folded"));
    let mut next = Some(TokenId::from_u128(0));
    while let Some(first) = next {
        let from = arguments::<E>(&[first.into()]).map_err(sqlx::Error::Encode)?;
        let rows = E::fetch(connection, read.clone(), from).await?;
        let last = rows.last().filter(|_| rows.len() == STEP).and_then(|row| id::<E>(row).ok());
        next = last.and_then(|id| id.as_u128().checked_add(1)).map(TokenId::from_u128);
        let mut names = Vec::new();
        for row in &rows {
            let name = E::bytes(row, 1)?.and_then(|name| String::from_utf8(name).ok());
            if let (Ok(id), Some(name)) = (id::<E>(row), name) {
                names.push((id, folded(&name)));
            }
        }
        if !names.is_empty() {
            let texts = arguments::<E>(&[Value::Texts(&names)]).map_err(sqlx::Error::Encode)?;
            E::execute(connection, write.of(names.len()).clone(), texts).await?;
        }
    }
    Ok(())
}
