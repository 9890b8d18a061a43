(import klorpy [protocol-of])
(defchor pay [Buyer Seller] (-> #{Buyer Seller} Seller) [price]
  (if (> price 100)
    (Buyer->Seller (Buyer "a cheque"))
    (Seller None)))
(protocol-of pay)
