-- freeze: fx.*
-- freeze: fc
-- expect: error: --freeze 'fx.*' meets no weight
-- expect: error: --freeze 'fc' meets no weight; did you mean 'fc.*'?
-- expect: :8: error: freeze: nothing lives at param.layr1; did you mean layer1?
-- expect: :9: error: init: nothing lives at param.nowhere
local x = input("x", 7)
freeze(param.layr1)
init(param.nowhere, {normal = 0.1})
local y = x:dense(param.layer1, 7):dense(param.fc, 3)
return network{output = {y = y}}
