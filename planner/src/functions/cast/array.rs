//! Casts to and from arrays: element by element.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, StringViewArray, StringViewBuilder},
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{DataType, Field},
};
use datafusion::common::Result;

use super::evaluate::{Context, convert, text_of};
use crate::{
    catalog::SqlType,
    error::to_datafusion,
    functions::{
        array::{elements, put_element},
        formats::SessionFormats,
        operand::wrong_type,
    },
};

/// Texts or arrays as arrays of another element type.
pub(super) fn to_array(
    array: &ArrayRef,
    text: Option<&StringViewArray>,
    to: SqlType,
    context: &Context,
) -> Result<ArrayRef> {
    let (values, offsets, nulls) = match (text, array.as_list_opt::<i32>()) {
        (Some(text), _) => parsed(text)?,
        (None, Some(list)) => {
            (Arc::clone(list.values()), list.offsets().clone(), list.nulls().cloned())
        }
        (None, None) => {
            let item = Arc::new(Field::new_list_field(to.arrow(), true));
            return Err(wrong_type(array.data_type(), &DataType::List(item)));
        }
    };
    let values = convert(&values, to, context)?;
    let item = Arc::new(Field::new_list_field(to.arrow(), true));
    Ok(Arc::new(ListArray::try_new(item, offsets, values, nulls)?))
}

/// Texts or arrays as vectors, whose texts are numbers with blanks between (`int2vectorin`, int.c;
/// `oidvectorin`, oid.c).
pub(super) fn to_vector(
    array: &ArrayRef,
    text: Option<&StringViewArray>,
    to: SqlType,
    context: &Context,
) -> Result<ArrayRef> {
    let Some(texts) = text else { return to_array(array, None, to, context) };
    let numbers = |text: &str| text.split_ascii_whitespace().count();
    let offsets = OffsetBuffer::from_lengths(texts.iter().map(|text| text.map_or(0, numbers)));
    let values = texts.iter().flatten().flat_map(str::split_ascii_whitespace).map(Some);
    let values: ArrayRef = Arc::new(values.collect::<StringViewArray>());
    let values = convert(&values, to, context)?;
    let item = Arc::new(Field::new_list_field(to.arrow(), true));
    Ok(Arc::new(ListArray::try_new(item, offsets, values, texts.nulls().cloned())?))
}

/// All elements of all texts, and where each text's begin.
fn parsed(texts: &StringViewArray) -> Result<(ArrayRef, OffsetBuffer<i32>, Option<NullBuffer>)> {
    let mut values = StringViewBuilder::new();
    let mut lengths = Vec::with_capacity(texts.len());
    for text in texts {
        let found = match text {
            Some(text) => elements(text).map_err(to_datafusion)?,
            None => Vec::new(),
        };
        lengths.push(found.len());
        found.into_iter().for_each(|value| values.append_option(value));
    }
    Ok((Arc::new(values.finish()), OffsetBuffer::from_lengths(lengths), texts.nulls().cloned()))
}

/// Arrays as PostgreSQL prints them: `{1,NULL,"a b"}`, truth values as t and f.
pub(super) fn texts(list: &ListArray, formats: &SessionFormats) -> Result<StringViewArray> {
    let is_boolean = *list.values().data_type() == DataType::Boolean;
    let values = text_of(list.values(), formats)?;
    let mut result = StringViewBuilder::with_capacity(list.len());
    let mut out = String::new();
    for (row, bounds) in list.offsets().windows(2).enumerate() {
        if list.is_null(row) {
            result.append_null();
            continue;
        }
        out.clear();
        out.push('{');
        for (at, position) in (bounds[0]..bounds[1]).enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            let position = position as usize;
            match values.is_valid(position).then(|| values.value(position)) {
                None => out.push_str("NULL"),
                Some(word) if is_boolean => out.push_str(&word[..1]),
                Some(text) => put_element(text, &mut out),
            }
        }
        out.push('}');
        result.append_value(&out);
    }
    Ok(result.finish())
}
