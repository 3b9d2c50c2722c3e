-- expect: :2: error: a table with a table as a key has no order
for k in pairs({[{}] = 1}) do end
