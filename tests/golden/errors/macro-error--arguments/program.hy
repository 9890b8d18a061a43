(defmacro twice [form] `(do ~form ~form))

(defchor shout [A B] (-> A B) [text]
  (A->B (twice text 2)))
