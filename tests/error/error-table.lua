-- expect: :2: error: the error is a table, not a text
error({})
