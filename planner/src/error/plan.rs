//! The messages of DataFusion's planner and operators in PostgreSQL's words.
//!
//! DataFusion tells these errors apart by their text only. A message that no rule here knows is an
//! invalid statement (42000) when planning said it, and a bug when running it did.

use kestrel_proto::{ErrorReport, SqlState};

use super::{arrow::sql_name, first_line};

/// Makes a report of a message, or leaves it to the next rule.
type Rule = fn(&str) -> Option<ErrorReport>;

/// The rules in the order in which they are asked.
const RULES: &[Rule] = &[
    report_in_text,
    unknown_table,
    unknown_function,
    ungrouped_column,
    aggregate_in_where,
    nested_aggregate,
    no_operator,
    no_cast,
    wrong_arguments,
    set_operation_columns,
    subquery_columns,
    not_boolean,
    order_by_position,
    distinct_order_by,
    values_lengths,
    duplicate_output,
    negative_limit,
    unknown_window,
    correlation,
];

/// The report of an error found in planning.
pub(super) fn report(message: &str) -> ErrorReport {
    RULES.iter().find_map(|rule| rule(message)).unwrap_or_else(|| {
        ErrorReport::new(
            SqlState::SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION,
            first_line(message).trim_end_matches('.'),
        )
    })
}

/// The report of an error found while running.
pub(super) fn execution_report(message: &str) -> ErrorReport {
    if message.contains("returned more than one row") {
        return ErrorReport::new(
            SqlState::CARDINALITY_VIOLATION,
            "more than one row returned by a subquery used as an expression",
        );
    }
    if let Some((_, regex)) = message.split_once("regex parse error:") {
        let problem = regex.rsplit_once("error: ").map_or("", |(_, problem)| problem.trim());
        let problem = match problem {
            "unclosed group" | "unopened group" => "parentheses () not balanced",
            "unclosed character class" => "brackets [] not balanced",
            other => other,
        };
        let message = format!("invalid regular expression: {problem}");
        return ErrorReport::new(SqlState::INVALID_REGULAR_EXPRESSION, message);
    }
    if message.starts_with("field position must not be zero") {
        return ErrorReport::new(SqlState::INVALID_PARAMETER_VALUE, message);
    }
    if message.to_lowercase().contains("overflow") {
        return ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range")
            .detail(format!("{}.", first_line(message).trim_end_matches('.')));
    }
    RULES.iter().find_map(|rule| rule(message)).unwrap_or_else(|| ErrorReport::internal(message))
}

fn new(sqlstate: SqlState, message: impl Into<String>) -> Option<ErrorReport> {
    Some(ErrorReport::new(sqlstate, message))
}

/// What stands between `before` and `after`.
fn between<'a>(message: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

/// DataFusion puts the text of some errors into its own: ours begin with their SQLSTATE.
fn report_in_text(message: &str) -> Option<ErrorReport> {
    let (_, text) = message.split_once("External error: ")?;
    let (sqlstate, text) = text.split_once(": ")?;
    let sqlstate = SqlState::parse(sqlstate).filter(|s| *s != SqlState::INTERNAL_ERROR)?;
    let text = text.split(". No function matches").next().unwrap_or(text);
    let report = ErrorReport::new(sqlstate, first_line(text));
    Some(match sqlstate {
        SqlState::UNDEFINED_FUNCTION => report.hint(NO_FUNCTION),
        _ => report,
    })
}

const NO_FUNCTION: &str = "No function matches the given name and argument types. You might need \
                           to add explicit type casts.";

fn unknown_table(message: &str) -> Option<ErrorReport> {
    let name = message.strip_prefix("table '")?.strip_suffix("' not found")?;
    // DataFusion writes the full name; the client wrote the last one or two parts of it.
    let relation = name.rsplit('.').next().unwrap_or(name);
    new(SqlState::UNDEFINED_TABLE, format!("relation \"{relation}\" does not exist"))
}

fn unknown_function(message: &str) -> Option<ErrorReport> {
    let name = between(message, "Invalid function '", "'")
        .or_else(|| between(message, "table function '", "' not found"))?;
    let report =
        ErrorReport::new(SqlState::UNDEFINED_FUNCTION, format!("function {name} does not exist"));
    Some(match between(message, "Did you mean '", "'") {
        Some(near) => report.hint(format!("Perhaps you meant the function {near}.")),
        None => report,
    })
}

fn ungrouped_column(message: &str) -> Option<ErrorReport> {
    let column =
        between(message, "column \"", "\" must appear in the GROUP BY clause").or_else(|| {
            between(message, "HAVING clause references: ", " must appear in the GROUP BY clause")
        })?;
    new(
        SqlState::GROUPING_ERROR,
        format!(
            "column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function"
        ),
    )
}

fn aggregate_in_where(message: &str) -> Option<ErrorReport> {
    message.starts_with("Aggregate functions are not allowed in the WHERE clause").then(|| {
        ErrorReport::new(SqlState::GROUPING_ERROR, "aggregate functions are not allowed in WHERE")
            .hint("Put the condition into HAVING.")
    })
}

fn nested_aggregate(message: &str) -> Option<ErrorReport> {
    if !message.contains("is nested inside '") {
        return None;
    }
    if message.to_lowercase().contains("window") {
        return new(SqlState::WINDOWING_ERROR, "window function calls cannot be nested");
    }
    new(SqlState::GROUPING_ERROR, "aggregate function calls cannot be nested")
}

/// `Cannot coerce arithmetic expression Utf8 + Int64 to valid types` and its relatives.
fn no_operator(message: &str) -> Option<ErrorReport> {
    const STARTS: &[&str] = &[
        "Cannot coerce arithmetic expression ",
        "Cannot infer common argument type for comparison operation ",
        "Cannot infer common argument type for logical boolean operation ",
        "Cannot infer common argument type for regex operation ",
        "Cannot infer common type for bitwise operation ",
        "Cannot infer common string type for string concat operation ",
        "Cannot get result type for temporal operation ",
        "Cannot get result type for decimal operation ",
        "Cannot get result type for arithmetic operation ",
    ];
    let operation = STARTS
        .iter()
        .find_map(|start| message.find(start).map(|at| &message[at + start.len()..]))?;
    let operation = first_line(operation);
    let operation = operation.split(" to valid types").next().unwrap_or(operation);
    let operation = operation.split(": ").next().unwrap_or(operation);
    // A type's name may hold blanks (`Decimal128(15, 2)`), an operator does not.
    let (left, operator, right) = operation.char_indices().find_map(|(at, c)| {
        let (left, rest) = operation.split_at(at);
        let (operator, right) = rest.strip_prefix(' ')?.split_once(' ')?;
        (c == ' ' && left.matches('(').count() == left.matches(')').count())
            .then_some((left, operator, right))
    })?;
    Some(
        ErrorReport::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("operator does not exist: {} {operator} {}", sql_name(left), sql_name(right)),
        )
        .hint(
            "No operator matches the given name and argument types. You might need to add \
             explicit type casts.",
        ),
    )
}

fn no_cast(message: &str) -> Option<ErrorReport> {
    let (from, to) = message
        .strip_prefix("Cannot automatically convert ")
        .and_then(|rest| first_line(rest).split_once(" to "))
        .or_else(|| {
            let rest = &message[message.find("Unsupported CAST from ")?..];
            first_line(rest.strip_prefix("Unsupported CAST from ")?).split_once(" to ")
        })?;
    new(
        SqlState::CANNOT_COERCE,
        format!("cannot cast type {} to {}", sql_name(from), sql_name(to.trim_end_matches('.'))),
    )
}

fn wrong_arguments(message: &str) -> Option<ErrorReport> {
    let types = |list: &str| {
        let mut depth = 0;
        list.split(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ',' && depth == 0
        })
        .map(|t| sql_name(t.trim().trim_matches(['[', ']'])).to_string())
        .collect::<Vec<_>>()
        .join(", ")
    };
    // `… No function matches the given name and argument types 'upper(Int64)'. …`
    let whole = between(message, "given name and argument types '", "'").and_then(|call| {
        let (name, arguments) = call.strip_suffix(')')?.split_once('(')?;
        Some((name.to_ascii_lowercase(), types(arguments)))
    });
    if let Some((name, arguments)) = &whole
        && ["coalesce", "greatest", "least", "nullif"].contains(&name.as_str())
    {
        let word = name.to_ascii_uppercase();
        let mut arguments = arguments.split(", ");
        let first = arguments.next().unwrap_or_default();
        let other = arguments.find(|other| *other != first).unwrap_or_default();
        let message = format!("{word} types {first} and {other} cannot be matched");
        return new(SqlState::DATATYPE_MISMATCH, message);
    }
    let whole = whole.map(|(name, arguments)| format!("{name}({arguments})"));
    let call = whole
        .or_else(|| {
            let name = between(message, "to satisfy a call to '", "' function")?;
            let from = between(message, "coercion from ", " to the signature").unwrap_or_default();
            Some(format!("{name}({})", types(from)))
        })
        .or_else(|| {
            message
                .contains("expected")
                .then(|| between(message, "unction '", "'"))?
                .map(Into::into)
        })
        .or_else(|| {
            message.contains("expects").then(|| between(message, "unction '", "'"))?.map(Into::into)
        })
        .or_else(|| between(message, "Function '", "' requires").map(Into::into))
        .or_else(|| between(message, "function '", "' has signature").map(Into::into))?;
    Some(
        ErrorReport::new(SqlState::UNDEFINED_FUNCTION, format!("function {call} does not exist"))
            .hint(NO_FUNCTION),
    )
}

fn set_operation_columns(message: &str) -> Option<ErrorReport> {
    let operation = message
        .split_once(" queries have different number of columns")
        .map(|(operation, _)| operation)
        .or_else(|| {
            message
                .starts_with("INTERSECT/EXCEPT query must have the same number")
                .then_some("INTERSECT or EXCEPT")
        })
        .or_else(|| {
            message
                .starts_with("Non-recursive term and recursive term must have the same number")
                .then_some("UNION")
        })?;
    new(
        SqlState::SYNTAX_ERROR,
        format!("each {operation} query must have the same number of columns"),
    )
}

fn subquery_columns(message: &str) -> Option<ErrorReport> {
    if message.starts_with("Too many columns! The subquery should only return one column")
        || message.contains("ubquery should only return one column")
    {
        return new(SqlState::SYNTAX_ERROR, "subquery must return only one column");
    }
    None
}

fn not_boolean(message: &str) -> Option<ErrorReport> {
    if let Some(name) =
        between(message, "Cannot create filter with non-boolean predicate '", "' returning ")
    {
        let found = message.rsplit_once("' returning ").map_or("", |(_, t)| t);
        return new(
            SqlState::DATATYPE_MISMATCH,
            format!("argument of WHERE must be type boolean, not type {}", sql_name(found)),
        )
        .map(|r| r.detail(format!("The condition is {name}.")));
    }
    let found = between(message, "requires a boolean expression, got ", "\n")
        .or_else(|| Some(message.split_once("requires a boolean expression, got ")?.1))
        .or_else(|| Some(message.split_once(" must be boolean type, but got ")?.1))?;
    new(
        SqlState::DATATYPE_MISMATCH,
        format!("the condition must be type boolean, not type {}", sql_name(found)),
    )
}

fn order_by_position(message: &str) -> Option<ErrorReport> {
    let position = between(message, "Order by column out of bounds, specified: ", ",")
        .map(|n| ("ORDER BY", n))
        .or_else(|| message.starts_with("Order by index starts at 1").then_some(("ORDER BY", "0")))
        .or_else(|| {
            between(message, "Cannot find column with position ", " in SELECT")
                .map(|n| ("GROUP BY", n))
        })?;
    new(
        SqlState::INVALID_COLUMN_REFERENCE,
        format!("{} position {} is not in select list", position.0, position.1),
    )
}

fn distinct_order_by(message: &str) -> Option<ErrorReport> {
    if message.starts_with("For SELECT DISTINCT, ORDER BY expressions") {
        return new(
            SqlState::INVALID_COLUMN_REFERENCE,
            "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
        );
    }
    if message.starts_with("SELECT DISTINCT ON expressions must match") {
        return new(
            SqlState::INVALID_COLUMN_REFERENCE,
            "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
        );
    }
    None
}

fn values_lengths(message: &str) -> Option<ErrorReport> {
    message.starts_with("Inconsistent data length across values list").then(|| {
        ErrorReport::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length")
    })
}

fn duplicate_output(message: &str) -> Option<ErrorReport> {
    let name = between(message, "require unique expression names but the expression \"", "\"")?;
    Some(
        ErrorReport::new(
            SqlState::DUPLICATE_COLUMN,
            format!("the output column \"{name}\" appears more than once"),
        )
        .hint("Give one of them another name with AS."),
    )
}

fn negative_limit(message: &str) -> Option<ErrorReport> {
    if message.starts_with("LIMIT must be >= 0") {
        return new(SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "LIMIT must not be negative");
    }
    message.starts_with("OFFSET must be >=0").then(|| {
        ErrorReport::new(
            SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE,
            "OFFSET must not be negative",
        )
    })
}

fn unknown_window(message: &str) -> Option<ErrorReport> {
    let name = between(message, "The window ", " is not defined")?;
    new(SqlState::UNDEFINED_OBJECT, format!("window \"{name}\" does not exist"))
}

fn correlation(message: &str) -> Option<ErrorReport> {
    const STARTS: &[&str] = &[
        "Correlated scalar subquery",
        "In/Exist/SetComparison subquery can only be used",
        "Accessing outer reference columns is not allowed",
        "A GROUP BY clause in a scalar correlated subquery",
        "Window expressions should not contain a mixed of outer references",
    ];
    STARTS.iter().any(|start| message.starts_with(start)).then(|| {
        ErrorReport::unsupported("this form of correlated subquery is not supported")
            .detail(format!("{}.", first_line(message).trim_end_matches('.')))
            .hint("Write it as a join.")
    })
}
