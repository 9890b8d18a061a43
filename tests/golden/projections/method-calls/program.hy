(defchor sell [A B] (-> A B B) [order stock]
  (B (.update stock {(A->B (A order.title)) (.get (. order-book [0] (find "x")) "n")})
     (.pop stock (A->B (A (.lower (. order title)))) None)))

(import os)
(defchor host-names [A] (-> A A) [x]
  (os.path.join os.sep (os.fspath x)))
