//! The tables: every Parquet file of the directory, under the file's name.

use std::{fs, path::Path};

use datafusion::{
    common::Result,
    prelude::{ParquetReadOptions, SessionContext},
};

/// Gives the session the tables; the names of them.
pub async fn open(context: &SessionContext, data: &Path) -> Result<Vec<String>> {
    let mut names = vec![];
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        let (Some(name), Some("parquet")) =
            (path.file_stem().and_then(|s| s.to_str()), path.extension().and_then(|e| e.to_str()))
        else {
            continue;
        };
        let location = path.to_string_lossy();
        context.register_parquet(name, &location, ParquetReadOptions::default()).await?;
        names.push(name.to_string());
    }
    Ok(names)
}
