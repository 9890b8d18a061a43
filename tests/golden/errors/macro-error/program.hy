(defmacro twice [form]
  (when (not (isinstance form hy.models.Expression))
    (raise (ValueError f"{form} is not a call")))
  `(do ~form ~form))

(defchor shout [A B] (-> A B) [text]
  (A (twice (print text)))
  (A->B (A (twice text))))
