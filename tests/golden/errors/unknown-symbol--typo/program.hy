(defchor transfer [A B] (-> A B) [n] (A->B n))
(defchor pay [Buyer Seller] (-> Buyer Seller) [amount]
  (trasnfer [Buyer Seller] amount))
