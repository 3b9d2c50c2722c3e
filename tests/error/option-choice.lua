-- define: depth=19
-- define: classes=1
-- define: width=99
-- define: variant=modem
-- expect: :9: error: option depth: the value 19 is not one of 18, 34, 50
-- expect: :10: error: option classes: the value 1 is below 2
-- expect: :11: error: option width: the value 99 is above 64
-- expect: :12: error: option variant: the value 'modem' is not one of 'paper', 'modern'
local depth = option{"depth", 50, choices = {18, 34, 50}}
local classes = option{"classes", 10, min = 2}
local width = option{"width", 10, max = 64}
local variant = option{"variant", "paper", choices = {"paper", "modern"}}
