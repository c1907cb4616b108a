//! What the database is and can do: asked once, before the first statement. Each capability is tried,
//! none is concluded from a version; nothing else in the datanode looks at the product.
//!
//! Names in the system catalogs are PostgreSQL's (`pg_`) where those are there, else KingbaseES's
//! (`sys_`).

mod facts;
mod hashes;
mod needs;
mod tries;

use kestrel_proto::{ErrorReport, Result, SqlState};

use super::{Capabilities, prepared::Gid, session::Pool};

/// What the probe has found.
#[derive(Clone, Debug)]
pub(super) struct Probed {
    /// The product, for people.
    pub(super) flavor: Flavor,
    /// What `version()` says.
    pub(super) version: String,
    /// `server_version_num`, for people.
    pub(super) version_number: String,
    /// KingbaseES's compatibility mode.
    pub(super) mode: Option<String>,
    /// What the texts of statements depend on.
    pub(super) capabilities: Capabilities,
    /// What its own functions and views are called.
    pub(super) names: Names,
    /// Transactions that can be prepared at a time.
    pub(super) prepared_transactions_max: u64,
    /// Bytes of a block.
    pub(super) block_bytes: u64,
}

/// A product that can hold a shard. Only people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavor {
    /// PostgreSQL, or one that says it is.
    PostgreSql,
    /// KingbaseES
    KingbaseEs,
}

/// Names of the server's own functions and views.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    /// Exports a transaction's snapshot; `None`: it cannot, or other sessions cannot read it.
    pub(super) export_snapshot: Option<&'static str>,
    /// The bytes of a table; `None`: they are not known.
    pub(super) relation_size: Option<&'static str>,
    /// The prepared transactions.
    pub(super) prepared_xacts: &'static str,
}

/// Asks the database all there is to ask.
///
/// `gid`: of a transaction that is prepared for a try.
///
/// # Errors
/// 58K01: it is not reachable. 0A000, 55000, 42501: it cannot hold a shard; what is missing, and what
/// to do.
pub(super) async fn probe(pool: &Pool, gid: &Gid) -> Result<Probed> {
    let mut session = pool.get().await?.rolling_back();
    let identity = needs::identity(&mut session).await?;
    let mut capabilities = Capabilities {
        empty_string_is_null: tries::empty_string_is_null(&mut session).await?,
        case_insensitive_text: tries::case_insensitive_text(&mut session).await?,
        ..Capabilities::default()
    };
    needs::collation(&mut session).await?;
    needs::binary_copy(&mut session).await?;
    needs::preparing(&mut session, gid).await?;
    let names = Names {
        prepared_xacts: needs::prepared_xacts(&mut session).await?,
        relation_size: tries::relation_size(&mut session).await?,
        export_snapshot: tries::export_snapshot(&mut session, pool).await?,
    };
    capabilities.tid_range_scan = tries::tid_range_scan(&mut session).await?;
    let hashes = hashes::conform(&mut session, capabilities.empty_string_is_null).await;
    capabilities.partition_hash = unless_lacking(hashes)?.unwrap_or(false);
    Ok(Probed {
        flavor: identity.flavor,
        version: identity.version,
        version_number: identity.version_number,
        mode: identity.mode,
        capabilities,
        names,
        prepared_transactions_max: identity.prepared_transactions_max,
        block_bytes: identity.block_bytes,
    })
}

/// `None`: the database does not have what was asked for, or the user may not use it.
///
/// # Errors
/// Those that say nothing about what it can do: it is gone, or has no room now.
fn unless_lacking<T>(tried: Result<T>) -> Result<Option<T>> {
    match tried {
        Ok(found) => Ok(Some(found)),
        Err(report) if is_about_now(&report) => Err(report),
        Err(_) => Ok(None),
    }
}

fn is_about_now(report: &ErrorReport) -> bool {
    let class = report.sqlstate.as_str().get(..2).unwrap_or_default();
    report.sqlstate == SqlState::DATANODE_LOST || ["08", "53", "57", "58"].contains(&class)
}
