(defmacro nested [depth]
  (setv form 'x)
  (for [_ (range depth)]
    (setv form `(+ 1 ~form)))
  form)

(defchor deep [A B] (-> A B) [x]
  (A->B (A (nested 20000))))
