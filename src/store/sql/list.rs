//! The steps that list and count tokens. Their statements are put together for each filter and order, of parts that
//! are constant.

use std::borrow::Cow;

use crate::{
    store::{
        SortBy, StoreError,
        contract::row::seconds,
        contract::{
            Counts, Filter, NEVER_EXPIRES, NEVER_USED, Page, Position, Query, STATES, SortKey,
            States, folded,
        },
    },
    token::{Owner, TokenState},
};

use super::{
    columns,
    engine::{Engine, Row, Value},
    read::{id, number},
    session::Steps,
};

/// How many tokens of all owners are read in one step, at most, to find those that match.
const WALKED: u32 = 5_000;

/// The place of a token's state among [`STATES`], as [`TokenRecord::state_at`](crate::TokenRecord::state_at) decides:
/// takes the instant four times.
const STATE: &str = "CASE WHEN revoked_at IS NOT NULL THEN 0
    WHEN expires_at <= ? THEN 1
    WHEN suspended_since IS NOT NULL AND (suspended_until IS NULL OR suspended_until > ?) THEN 2
    WHEN not_before > ? THEN 3
    WHEN idle_seconds IS NOT NULL AND GREATEST(created_at, COALESCE(suspended_until, created_at),
        COALESCE(last_used_at, created_at), COALESCE(first_used_at, created_at)) + idle_seconds <= ? THEN 4
    ELSE 5 END";

impl<E: Engine> Steps<'_, '_, E> {
    pub(crate) async fn list(self, query: &Query) -> Result<Page, StoreError> {
        let texts = Texts::of(&query.filter, query.after.as_ref());
        let Some(mut found) = Condition::of(&query.filter, &texts) else {
            return Ok(Page::default());
        };
        let order = Ordered::of(query);
        let mut boundary = None;
        // An index gives this order. Others can't be read in part.
        if query.filter.owner.is_none()
            && query.order.by == SortBy::Created
            && query.filter.is_narrow()
        {
            let mut all = Condition::default();
            order.begin(&mut all, query.after.as_ref(), &texts);
            let last = format!(
                "SELECT id, created_at FROM {{tokens}} {all} {order} LIMIT 1 OFFSET {}",
                WALKED - 1
            );
            let rows = self.read(&self.statements().spelling.one(&last), &all.values).await?;
            if let Some(row) = rows.first() {
                let instant = E::integer(row, 1).map_err(E::failed)?.unwrap_or_default();
                let id = id::<E>(row)?;
                found.and(order.until(), [instant.into(), instant.into(), id.into()]);
                boundary = Some(Position { key: SortKey::Instant(instant), id });
            }
        }
        order.begin(&mut found, query.after.as_ref(), &texts);
        // One row more than a page has shows that there are more.
        found.values.push((i64::from(query.limit) + 1).into());
        let hint = hint::<E>(&query.filter);
        let statement =
            format!("SELECT {{columns}} FROM {{tokens}} {hint} {found} {order} LIMIT ?");
        let statement = self.statements().spelling.one(&statement);
        let rows = self.read(&statement, &found.values).await?;
        let mut page = page::<E>(rows, query.limit, |row| position::<E>(row, query.order.by));
        page.end = page.end.or(boundary);
        Ok(page)
    }

    pub(crate) async fn count(self, filter: &Filter) -> Result<Counts, StoreError> {
        let texts = Texts::of(filter, None);
        let Some(mut found) = Condition::of(filter, &texts) else {
            return Ok(Counts::default());
        };
        let hint = hint::<E>(filter);
        let statement = format!(
            "SELECT CAST({STATE} AS {{bigint}}), count(*) FROM {{tokens}} {hint} {found} GROUP BY 1"
        );
        found.values.splice(0..0, now(filter));
        let statement = self.statements().spelling.one(&statement);
        let mut counts = Counts::default();
        for row in self.read(&statement, &found.values).await? {
            let place = usize::try_from(number::<E>(&row, 0)?).unwrap_or(usize::MAX);
            if let Some(state) = STATES.get(place) {
                counts.add(*state, number::<E>(&row, 1)?);
            }
        }
        Ok(counts)
    }
}

/// Keeps a server from reading the tokens of other owners, which it does if an owner has many of all tokens.
fn hint<E: Engine>(filter: &Filter) -> &'static str {
    if filter.owner.is_some() { E::BY_OWNER } else { "" }
}

fn now(filter: &Filter) -> [Value<'static>; 4] {
    [filter.at.unix_seconds().into(); 4]
}

/// The texts that a statement takes, for its values to borrow.
struct Texts<'q> {
    part: Option<String>,
    /// The entries among the abilities of a token that permit one, with a space before and after each.
    permitting: Vec<String>,
    name: Cow<'q, [u8]>,
}

impl<'q> Texts<'q> {
    fn of(filter: &Filter, after: Option<&'q Position>) -> Self {
        let permitting = filter.ability.as_ref().map_or_else(Vec::new, |ability| {
            let ability = ability.as_str();
            let branches =
                ability.match_indices(':').map(|(end, _)| format!(" {}* ", &ability[..=end]));
            // Most tokens hold the ability itself, so it is looked for first.
            std::iter::once(format!(" {ability} ")).chain(branches).collect()
        });
        let name = match after.map(|after| &after.key) {
            Some(SortKey::Name(name)) => name_of(name),
            _ => b"".into(),
        };
        Self { part: filter.name_part.as_deref().map(folded), permitting, name }
    }
}

/// A `WHERE`, and the values that it takes.
#[derive(Default)]
struct Condition<'v> {
    sql: String,
    values: Vec<Value<'v>>,
}

impl<'v> Condition<'v> {
    /// `None`: no token can match.
    fn of(filter: &'v Filter, texts: &'v Texts<'_>) -> Option<Self> {
        let mut found = Self::default();
        if let Some(owner) = filter.owner.as_ref().map(Owner::as_str) {
            found.and("owner = ?", [owner.into()]);
        }
        found.has_state(filter);
        if let Some(part) = &texts.part {
            // No name has one, and no text in PostgreSQL.
            if part.contains('\0') {
                return None;
            }
            // Where a node of the version before has written it, the name is compared as it is.
            found.and("instr(COALESCE(name_folded, name), ?) > 0", [part.into()]);
        }
        if let Some(ability) = &filter.ability {
            // Nothing permits a pattern.
            if ability.as_str().ends_with('*') {
                return None;
            }
            let any =
                texts.permitting.iter().map(|_| " OR instr(CONCAT(' ', abilities, ' '), ?) > 0");
            let any: String = any.collect();
            let entries = texts.permitting.iter().map(Value::from);
            found.and(&format!("(abilities = '*'{any})"), entries);
        }
        if let Some(instant) = seconds(filter.created_before) {
            found.and("created_at < ?", [instant.into()]);
        }
        if let Some(instant) = seconds(filter.unused_since) {
            found.and("(last_used_at IS NULL OR last_used_at < ?)", [instant.into()]);
        }
        if let Some((after, until)) = filter.expires {
            let instants = [after, until].map(|it| it.unix_seconds().into());
            found.and("expires_at > ? AND expires_at <= ?", instants);
        }
        Some(found)
    }

    fn has_state(&mut self, filter: &Filter) {
        let states = filter.states;
        if states == States::ALL {
            return;
        }
        if !states.contains(TokenState::Revoked) {
            self.and("revoked_at IS NULL", []);
        }
        if states == States::NOT_REVOKED {
            return;
        }
        let places = (0..).zip(STATES).filter(|(_, state)| states.contains(*state));
        let places: Vec<_> = places.map(|(place, _): (u8, _)| place.to_string()).collect();
        match places.as_slice() {
            [] => self.and("1 = 0", []),
            [revoked] if revoked == "0" => self.and("revoked_at IS NOT NULL", []),
            _ => self.and(&format!("{STATE} IN ({})", places.join(", ")), now(filter)),
        }
    }

    fn and(&mut self, sql: &str, values: impl IntoIterator<Item = Value<'v>>) {
        self.sql.push_str(if self.sql.is_empty() { "WHERE " } else { " AND " });
        self.sql.push_str(sql);
        self.values.extend(values);
    }
}

impl std::fmt::Display for Condition<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sql)
    }
}

/// An `ORDER BY`.
struct Ordered {
    key: String,
    is_text: bool,
    descending: bool,
}

impl Ordered {
    fn of(query: &Query) -> Self {
        let key = match query.order.by {
            SortBy::Created => "created_at".to_owned(),
            SortBy::Name => "name".to_owned(),
            SortBy::LastUsed => format!("COALESCE(last_used_at, {NEVER_USED})"),
            // An index gives this order.
            SortBy::Expires if query.filter.expires.is_some() => "expires_at".to_owned(),
            SortBy::Expires => format!("COALESCE(expires_at, {NEVER_EXPIRES})"),
        };
        let is_text = query.order.by == SortBy::Name;
        Self { key, is_text, descending: query.order.descending }
    }

    /// Begins after a position.
    fn begin<'v>(&self, found: &mut Condition<'v>, after: Option<&Position>, texts: &'v Texts<'_>) {
        let Some(after) = after else { return };
        let key = match &after.key {
            SortKey::Name(_) => Value::Beginning(&texts.name),
            SortKey::Instant(instant) => (*instant).into(),
        };
        let (sign, key_sql) = (if self.descending { "<" } else { ">" }, &self.key);
        let value = if self.is_text { "{text}" } else { "?" };
        let sql =
            format!("{key_sql} {sign}= {value} AND ({key_sql} {sign} {value} OR id {sign} ?)");
        found.and(&sql, [key, key, after.id.into()]);
    }

    /// Ends with a position: takes its instant twice, and its id.
    fn until(&self) -> &'static str {
        if self.descending {
            "created_at >= ? AND (created_at > ? OR id >= ?)"
        } else {
            "created_at <= ? AND (created_at < ? OR id <= ?)"
        }
    }
}

impl std::fmt::Display for Ordered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let direction = if self.descending { "DESC" } else { "ASC" };
        write!(f, "ORDER BY {} {direction}, id {direction}", self.key)
    }
}

/// The page that rows make, of which one more was asked for than the page holds.
pub(super) fn page<E: Engine>(
    mut rows: Vec<Row<E>>,
    limit: u32,
    position: impl FnOnce(&Row<E>) -> Option<Position>,
) -> Page {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let end = rows.last().filter(|_| more).and_then(position);
    let mut page = Page { end, ..Page::default() };
    for row in &rows {
        match E::record(row) {
            Ok(record) => page.records.push(record.into()),
            Err(corrupt) => page.corrupt.push(corrupt),
        }
    }
    page
}

/// The position of a row, whether or not it can be read as a token.
fn position<E: Engine>(row: &Row<E>, by: SortBy) -> Option<Position> {
    let instant = |column| E::integer(row, columns::index(column)).ok();
    let key = match by {
        SortBy::Name => SortKey::Name(name_key(E::bytes(row, columns::index("name")).ok()??)),
        SortBy::Created => SortKey::Instant(instant("created_at")??),
        SortBy::LastUsed => SortKey::Instant(instant("last_used_at")?.unwrap_or(NEVER_USED)),
        SortBy::Expires => SortKey::Instant(instant("expires_at")?.unwrap_or(NEVER_EXPIRES)),
    };
    Some(Position { key, id: id::<E>(row).ok()? })
}

/// Begins the key of a name that is no UTF-8, which then follows in hex. No name has it.
const NOT_UTF_8: char = '\0';

/// The key of a page that ends with this name.
fn name_key(name: Vec<u8>) -> String {
    String::from_utf8(name)
        .unwrap_or_else(|error| format!("{NOT_UTF_8}{}", hex::encode(error.as_bytes())))
}

/// The name that a key was made of.
fn name_of(key: &str) -> Cow<'_, [u8]> {
    let Some(hex) = key.strip_prefix(NOT_UTF_8) else {
        return key.as_bytes().into();
    };
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default();
    let byte = |pair: &[u8; 2]| (digit(pair[0]) << 4 | digit(pair[1])).to_be_bytes()[3];
    hex.as_bytes().as_chunks().0.iter().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_from_its_key_whatever_its_bytes() {
        for name in [b"token 1".as_slice(), "\u{1F511}".as_bytes(), b"\xFF\x00\x1f", b""] {
            assert_eq!(&*name_of(&name_key(name.to_vec())), name);
        }
    }
}
