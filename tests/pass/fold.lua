-- Inference: the batch norm behind a convolution goes into its weights, the one behind a sum stays.
-- golden: graph   --inference --dump=graph
-- golden: passes  --inference --dump=passes
-- golden: fused   --inference --dump=fused
local x = image("x", 3, 6, 6)
local y = x:conv(param.conv, 4, {kernel = 3, pad = 1, bias = false}):batch_norm(param.bn):relu()
local z = (y + x:conv(param.side, 4, {kernel = 1})):batch_norm(param.last)
return network{output = {z = z}}
