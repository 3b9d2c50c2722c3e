-- expect: :2: error: too many instructions
table.move({}, 1, 1 << 60, 2)
