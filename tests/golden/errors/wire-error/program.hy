(import klorpy.runtime.wire [decode encode])
(decode (cut (encode {"name" "tea"}) 5))
