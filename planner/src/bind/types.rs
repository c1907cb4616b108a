//! Type names in SQL text.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::{error::Result, logical_expr::planner::TypePlanner, sql::sqlparser::ast};

use crate::{error::to_datafusion, parse};

/// Type names as PostgreSQL reads them.
#[derive(Debug)]
pub(super) struct PostgresqlTypes;

impl TypePlanner for PostgresqlTypes {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        match parse::sql_type(sql_type) {
            Ok(sql_type) => Ok(Some(Arc::new(sql_type.field("", true)))),
            Err(unknown) if matches!(sql_type, ast::DataType::Custom(..)) => {
                Err(to_datafusion(unknown))
            }
            // Arrays and the like: DataFusion may know them.
            Err(_) => Ok(None),
        }
    }
}
