(defchor apply [A B] (-> (-> A B | 0) A B) [f x] (f x))
(defchor relay [A B C] (-> A B) [x] (C->B (A->C x)))
(defchor greet [A B C] (-> A B) [name]
  (apply [A B] (inst relay [A B C]) name))
