(defmacro both [role #* forms]
  `(do ~@(lfor form forms `(~role ~form))))

(defmacro send-all [roles value]
  (setv [first second third] roles)
  `(do (~(hy.models.Symbol f"{first}->{second}") ~value)
       (~(hy.models.Symbol f"{first}->{third}") ~value)))

(defchor tell [A B C] (-> A B C) [x y]
  (both A (+ x 1) (+ y 1))
  (send-all [A B D] x)
  (send-all [B A C] x))
