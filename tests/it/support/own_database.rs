//! A database for processes that make their own tables.

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};

use super::servers::{clean_up, url_of};

/// A database on a server that others use too, which is gone when this is.
pub struct OwnDatabase {
    server: String,
    name: String,
}

impl OwnDatabase {
    /// On the server that this variable names.
    pub fn create(variable: &str) -> Self {
        let name = format!("t{:016x}", fastrand::u64(..));
        let database = Self { server: url_of(variable), name };
        database.run(format!("CREATE DATABASE {}", database.name));
        database
    }

    pub fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    fn is_postgres(&self) -> bool {
        self.server.starts_with("postgres")
    }

    fn run(&self, sql: String) {
        let (server, is_postgres) = (self.server.clone(), self.is_postgres());
        clean_up(move || async move {
            let sql = sqlx::raw_sql(AssertSqlSafe(sql));
            if is_postgres {
                sql.execute(&mut PgConnection::connect(&server).await?).await.map(drop)
            } else {
                sql.execute(&mut MySqlConnection::connect(&server).await?).await.map(drop)
            }
        });
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let anyway = if self.is_postgres() { "WITH (FORCE)" } else { "" };
        self.run(format!("DROP DATABASE {} {anyway}", self.name));
    }
}
