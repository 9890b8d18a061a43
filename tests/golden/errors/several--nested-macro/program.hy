(defmacro inner [form] `(B (+ 1 ~form)))
(defmacro outer [form] `(inner (inner ~form)))
(defmacro constant [] '(B (+ 1 missing-at-b (A->C 5))))

(defchor tell [A B] (-> A B) [x]
  (let [missing-at-b x]
    (outer x)
    (constant)))
