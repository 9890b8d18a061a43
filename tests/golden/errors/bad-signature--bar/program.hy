(defchor relay [A B C] (-> A B | ) [x] (C->B (A->C x)))
