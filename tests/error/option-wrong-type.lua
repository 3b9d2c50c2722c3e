-- define: depth=fifty
-- define: rate=fast
-- define: v1=maybe
-- expect: :7: error: option depth: 'fifty' is not a whole number
-- expect: :8: error: option rate: 'fast' is not a number
-- expect: :9: error: option v1: 'maybe' is not true or false
local depth = option{"depth", 50}
local rate = option{"rate", 0.5}
local v1 = option{"v1", false}
