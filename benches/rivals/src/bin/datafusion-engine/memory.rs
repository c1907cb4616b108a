//! The tables in memory: as many partitions as the session reads the files in.

use std::sync::Arc;

use datafusion::{common::Result, datasource::MemTable, prelude::SessionContext};

/// Puts each table's rows in the place of its file.
pub(crate) async fn load(context: &SessionContext, tables: &[String]) -> Result<()> {
    for name in tables {
        let frame = context.table(name.as_str()).await?;
        let schema = Arc::clone(frame.schema().inner());
        let rows = MemTable::try_new(schema, frame.collect_partitioned().await?)?;
        context.deregister_table(name.as_str())?;
        context.register_table(name.as_str(), Arc::new(rows))?;
    }
    Ok(())
}
