-- expect: :2: error: option takes a name and a default
local depth = option{"depth"}
