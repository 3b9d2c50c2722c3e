-- A concatenation is made in place: its parts store into one buffer; channels of ours are blocked.
-- golden: nests    --inference --dump=nests
-- golden: fused    --inference --dump=fused
-- golden: layouts  --inference --dump=layouts
-- golden: plan     --inference --dump=plan
-- golden: decisions  --inference --dump=decisions --target=avx2
local x = image("x", 3, 8, 8)
local stem = x:conv(param.stem, 16, {kernel = 3, pad = 1}):relu()
local y = stem:conv(param.left, 16, {kernel = 1}):relu():concat(stem:max_pool{3, stride = 1, pad = 1})
return network{output = {y = y:conv(param.out, 5, {kernel = 3, stride = 2})}}
