-- expect: :6: error: option depth is declared twice
-- expect: :5: note: first declared here
-- expect: :7: error: option width has no field 'maximum'
-- expect: :8: error: option kind: the default 3 is not one of 1, 2
local depth = option{"depth", 50}
local again = option{"depth", 18}
local width = option{"width", 10, maximum = 64}
local kind = option{"kind", 3, choices = {1, 2}}
