//! One connection, that is whole or closed.

use std::sync::Arc;

use sqlx::{
    Connection, PgConnection, Postgres as Server,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use zt_core::store::postgres::shared::{self, Checked, MIGRATION, begin_session, in_time, late};

use super::{PostgresError, schema::TABLES};

/// A connection that is made when it is needed.
pub(super) struct Link {
    checked: Arc<Checked>,
    connection: Option<PgConnection>,
}

impl Link {
    pub(super) const fn new(checked: Arc<Checked>) -> Self {
        Self {
            checked,
            connection: None,
        }
    }

    /// `statement` with `{s}` being the schema.
    pub(super) fn statement(&self, statement: &str) -> Arc<str> {
        // The name was checked: it has nothing in it that could end a quotation.
        let schema = format!("\"{}\"", self.checked.schema);
        statement.replace("{s}", &schema).into()
    }

    /// Another one to the same server.
    pub(super) fn another(&self) -> Self {
        Self::new(Arc::clone(&self.checked))
    }

    /// Runs one statement, once, and gives its rows.
    pub(super) async fn ask(
        &mut self,
        statement: Query<'_, Server, PgArguments>,
    ) -> Result<Vec<PgRow>, PostgresError> {
        let mut connection = self.take().await?;
        let answer = in_time(self.checked.answer, statement.fetch_all(&mut connection)).await;
        self.keep(connection, answer)
    }

    /// Runs one statement, once; how many rows it was about.
    pub(super) async fn run(
        &mut self,
        statement: Query<'_, Server, PgArguments>,
    ) -> Result<u64, PostgresError> {
        let mut connection = self.take().await?;
        let answer = in_time(self.checked.answer, statement.execute(&mut connection)).await;
        self.keep(connection, answer)
            .map(|done| done.rows_affected())
    }

    pub(super) async fn migrate(&mut self) -> Result<(), PostgresError> {
        let mut connection = self.take().await?;
        let migration = shared::migrate(&mut connection, &self.checked.schema, &TABLES);
        let migrated = in_time(MIGRATION, migration).await;
        self.keep(connection, migrated)?
            .map_err(PostgresError::format)
    }

    /// The connection, or a new one. Whoever gives up in the middle has it, and closes it so: there
    /// is no half-read answer for the next one.
    async fn take(&mut self) -> Result<PgConnection, PostgresError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let made = in_time(self.checked.connect, async {
            let mut connection = PgConnection::connect_with(&self.checked.options).await?;
            begin_session(&mut connection).await?;
            Ok(connection)
        });
        match made.await {
            Some(Ok(connection)) => Ok(connection),
            Some(Err(error)) => Err(unanswered(&error)),
            None => Err(PostgresError::unavailable(late())),
        }
    }

    fn keep<T>(
        &mut self,
        connection: PgConnection,
        answer: Option<Result<T, sqlx::Error>>,
    ) -> Result<T, PostgresError> {
        match answer {
            Some(Ok(answer)) => {
                self.connection = Some(connection);
                Ok(answer)
            }
            // A server that refused is asked over a new connection: it may be going down, or be a
            // standby by now.
            Some(Err(error)) => Err(unanswered(&error)),
            None => Err(PostgresError::unavailable(late())),
        }
    }
}

/// What went wrong, without what was asked.
pub(super) fn unanswered(error: &sqlx::Error) -> PostgresError {
    PostgresError::unavailable(shared::unanswered(error))
}
