(setv limit 5)
(defchor serve [A] (-> A A) [n]
  (case n
    limit "at the limit"
    "elsewhere"))
