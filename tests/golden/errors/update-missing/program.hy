(import klorpy [run-role])
(defchor step [S C] (-> S C) [x]
  (S->C x))
(defchor serve [S C] (-> S C) [x]
  (scope (step [S C] x)))
;; What the server would say, in a process that has other texts.
(run-role {"role" "C"  "send" print  "recv" (fn [_] "d3c98daf66f7a826")  "locators" {"S" "S"}} serve)
