(defchor greet [A B] (-> A B) [name]
  (let ["greeting" (A (+ "Hello " name))]
    (A->B greeting)))
